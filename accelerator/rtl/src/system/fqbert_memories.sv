// The on-chip memories and who may use their ports in a cycle. Where two units write or read one
// memory, the order is fixed: MATRIX before VECTOR before LOAD for writes, MATRIX or VECTOR before
// STORE for reads; so the engines' pipelines never wait for DMA.
module fqbert_memories
  import fqbert_pkg::*;
  import fqbert_axi_pkg::BEAT_BITS;
  import fqbert_memory_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t G = GEOMETRY_TINY,
  localparam int unsigned ACT_BITS = 8 * word_bytes(G, MEMORY_ACT),
  localparam int unsigned RES_BITS = 8 * word_bytes(G, MEMORY_RESX),
  localparam int unsigned OPD_BITS = 8 * word_bytes(G, MEMORY_OPD),
  localparam int unsigned SCR_BITS = 8 * word_bytes(G, MEMORY_SCR),
  localparam int unsigned BANK_BITS = 8 * G.lanes
) (
  input  logic                                  clk_i,

  // LOAD, by read port.
  input  logic        [G.ports-1:0]             load_valid_i,
  output logic        [G.ports-1:0]             load_ready_o,
  input  beat_write_t [G.ports-1:0]             load_i,

  // STORE.
  input  logic                                  store_valid_i,
  output logic                                  store_ready_o,
  input  beat_read_t                            store_i,
  output logic [BEAT_BITS-1:0]                  store_data_o,

  // MATRIX.
  input  matrix_access_t                        matrix_i,
  output logic [ACT_BITS-1:0]                   matrix_act_data_o,
  output logic [ACT_BITS-1:0]                   matrix_prb_data_o,
  output logic [WEIGHT_SLOTS-1:0][OPD_BITS-1:0] matrix_wgt_data_o,
  output logic [OPD_BITS-1:0]                   matrix_opd_data_o,
  output logic [BEAT_BITS-1:0]                  matrix_par_data_o,
  input  logic [ACT_BITS-1:0]                   matrix_act_data_i,
  input  logic [ACT_BITS/8-1:0]                 matrix_act_bytes_i,
  input  logic [RES_BITS-1:0]                   matrix_resb_data_i,
  input  logic [SCR_BITS-1:0]                   matrix_scr_data_i,
  input  logic [G.pairs-1:0]                    matrix_opd_enable_i,
  input  logic [G.pairs-1:0][15:0]              matrix_opd_address_i,
  input  logic [G.pairs-1:0][BANK_BITS-1:0]     matrix_opd_data_i,
  input  logic [G.pairs-1:0][BANK_BITS/8-1:0]   matrix_opd_bytes_i,

  // VECTOR.
  input  vector_access_t                        vector_i,
  output logic                                  vector_act_ready_o,
  output logic [SCR_BITS-1:0]                   vector_scr_data_o,
  output logic [RES_BITS-1:0]                   vector_resx_data_o,
  output logic [RES_BITS-1:0]                   vector_resb_data_o,
  output logic [BEAT_BITS-1:0]                  vector_rng_data_o,
  output logic [BEAT_BITS-1:0]                  vector_lnp_data_o,
  input  logic [ACT_BITS-1:0]                   vector_prb_data_i,
  input  logic [ACT_BITS/8-1:0]                 vector_prb_bytes_i,
  input  logic [RES_BITS-1:0]                   vector_resx_data_i,
  input  logic [RES_BITS/8-1:0]                 vector_resx_bytes_i,
  input  logic [ACT_BITS-1:0]                   vector_act_data_i,
  input  logic [ACT_BITS/8-1:0]                 vector_act_bytes_i,

  // Tables live in the engines' lanes: LOAD's writes to EXP and GEL go out.
  output table_write_t                          table_o
);

  localparam int unsigned ACT_BYTES = ACT_BITS / 8;
  localparam int unsigned RES_BYTES = RES_BITS / 8;
  localparam int unsigned OPD_BYTES = OPD_BITS / 8;

  // ---- LOAD's beats as writes of whole words under byte enables
  function automatic logic [15:0] slice_enable(logic [3:0] slice);
    return 16'd1 << slice;
  endfunction

  beat_write_t load0;
  logic        load0_valid;
  assign load0 = load_i[0];
  assign load0_valid = load_valid_i[0];

  logic [ACT_BITS-1:0]  load_act;
  logic [ACT_BYTES-1:0] load_act_be;
  logic [RES_BITS-1:0]  load_resx;
  logic [RES_BYTES-1:0] load_resx_be;
  logic [15:0]          load0_slices;
  assign load0_slices = slice_enable(load0.slice);
  for (genvar s = 0; s < ACT_BITS / BEAT_BITS; s++) begin : g_load_act
    assign load_act[s*BEAT_BITS+:BEAT_BITS] = load0.data;
    assign load_act_be[s*BEAT_BYTES+:BEAT_BYTES] = {BEAT_BYTES{load0_slices[s]}};
  end
  for (genvar s = 0; s < RES_BITS / BEAT_BITS; s++) begin : g_load_resx
    assign load_resx[s*BEAT_BITS+:BEAT_BITS] = load0.data;
    assign load_resx_be[s*BEAT_BYTES+:BEAT_BYTES] = {BEAT_BYTES{load0_slices[s]}};
  end

  logic load_act_valid, load_resx_valid;
  assign load_act_valid  = load0_valid && load0.memory == MEMORY_ACT;
  assign load_resx_valid = load0_valid && load0.memory == MEMORY_RESX;
  always_comb begin
    load_ready_o = '1;
    if (load0.memory == MEMORY_ACT) begin
      load_ready_o[0] = !matrix_i.act_write.enable && !vector_i.act_write.enable;
    end
    if (load0.memory == MEMORY_RESX) load_ready_o[0] = !vector_i.resx_write.enable;
  end
  assign table_o.gel_enable = load0_valid && load0.memory == MEMORY_GEL;
  assign table_o.exp_enable = load0_valid && load0.memory == MEMORY_EXP;
  assign table_o.address    = load0.address;
  assign table_o.data       = load0.data;

  // ---- STORE
  logic store_act, store_resx;
  assign store_act  = store_valid_i && store_i.memory == MEMORY_ACT;
  assign store_resx = store_valid_i && store_i.memory == MEMORY_RESX;
  assign store_ready_o = store_i.memory == MEMORY_ACT ? !matrix_i.act_read.enable
                                                      : !vector_i.resx_read.enable;

  logic [1:0]      store_act_q;
  logic [1:0][3:0] store_slice_q;
  always_ff @(posedge clk_i) begin
    store_act_q   <= {store_act_q[0], store_i.memory == MEMORY_ACT};
    store_slice_q <= {store_slice_q[0], store_i.slice};
  end
  always_comb begin
    store_data_o = '0;
    for (int unsigned s = 0; s < ACT_BITS / BEAT_BITS; s++) begin
      if (store_act_q[1] && store_slice_q[1] == 4'(s)) begin
        store_data_o = matrix_act_data_o[s*BEAT_BITS+:BEAT_BITS];
      end
    end
    for (int unsigned s = 0; s < RES_BITS / BEAT_BITS; s++) begin
      if (!store_act_q[1] && store_slice_q[1] == 4'(s)) begin
        store_data_o = vector_resx_data_o[s*BEAT_BITS+:BEAT_BITS];
      end
    end
  end

  // ---- ACT
  logic                 act_wen;
  logic [15:0]          act_waddr;
  logic [ACT_BITS-1:0]  act_wdata;
  logic [ACT_BYTES-1:0] act_wbe;
  assign vector_act_ready_o = !matrix_i.act_write.enable;
  always_comb begin
    act_wen   = matrix_i.act_write.enable || vector_i.act_write.enable || load_act_valid;
    act_waddr = load0.address;
    act_wdata = load_act;
    act_wbe   = load_act_be;
    if (vector_i.act_write.enable) begin
      act_waddr = vector_i.act_write.address;
      act_wdata = vector_act_data_i;
      act_wbe   = vector_act_bytes_i;
    end
    if (matrix_i.act_write.enable) begin
      act_waddr = matrix_i.act_write.address;
      act_wdata = matrix_act_data_i;
      act_wbe   = matrix_act_bytes_i;
    end
  end
  fqbert_ram #(.BYTES(ACT_BYTES), .DEPTH(G.act_words)) u_act (
    .clk_i,
    .ren_i(matrix_i.act_read.enable || store_act),
    .raddr_i(matrix_i.act_read.enable ? matrix_i.act_read.address : store_i.address),
    .rdata_o(matrix_act_data_o),
    .wen_i(act_wen), .waddr_i(act_waddr), .wdata_i(act_wdata), .wbe_i(act_wbe)
  );

  // ---- RESX, RESB
  fqbert_ram #(.BYTES(RES_BYTES), .DEPTH(G.resx_words)) u_resx (
    .clk_i,
    .ren_i(vector_i.resx_read.enable || store_resx),
    .raddr_i(vector_i.resx_read.enable ? vector_i.resx_read.address : store_i.address),
    .rdata_o(vector_resx_data_o),
    .wen_i(vector_i.resx_write.enable || load_resx_valid),
    .waddr_i(vector_i.resx_write.enable ? vector_i.resx_write.address : load0.address),
    .wdata_i(vector_i.resx_write.enable ? vector_resx_data_i : load_resx),
    .wbe_i(vector_i.resx_write.enable ? vector_resx_bytes_i : load_resx_be)
  );
  fqbert_ram #(.BYTES(RES_BYTES), .DEPTH(G.resb_words)) u_resb (
    .clk_i,
    .ren_i(vector_i.resb_read.enable), .raddr_i(vector_i.resb_read.address),
    .rdata_o(vector_resb_data_o),
    .wen_i(matrix_i.resb_write.enable), .waddr_i(matrix_i.resb_write.address),
    .wdata_i(matrix_resb_data_i), .wbe_i('1)
  );

  // ---- OPD: a bank for each pair
  for (genvar c = 0; c < G.pairs; c++) begin : g_opd
    fqbert_ram #(.BYTES(BANK_BITS / 8), .DEPTH(G.opd_words)) u_bank (
      .clk_i,
      .ren_i(matrix_i.opd_read.enable), .raddr_i(matrix_i.opd_read.address),
      .rdata_o(matrix_opd_data_o[c*BANK_BITS+:BANK_BITS]),
      .wen_i(matrix_opd_enable_i[c]), .waddr_i(matrix_opd_address_i[c]),
      .wdata_i(matrix_opd_data_i[c]), .wbe_i(matrix_opd_bytes_i[c])
    );
  end

  // ---- SCR, PRB
  fqbert_ram #(.BYTES(SCR_BITS / 8), .DEPTH(G.scr_words)) u_scr (
    .clk_i,
    .ren_i(vector_i.scr_read.enable), .raddr_i(vector_i.scr_read.address),
    .rdata_o(vector_scr_data_o),
    .wen_i(matrix_i.scr_write.enable), .waddr_i(matrix_i.scr_write.address),
    .wdata_i(matrix_scr_data_i), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(ACT_BYTES), .DEPTH(G.prb_words)) u_prb (
    .clk_i,
    .ren_i(matrix_i.prb_read.enable), .raddr_i(matrix_i.prb_read.address),
    .rdata_o(matrix_prb_data_o),
    .wen_i(vector_i.prb_write.enable), .waddr_i(vector_i.prb_write.address),
    .wdata_i(vector_prb_data_i), .wbe_i(vector_prb_bytes_i)
  );

  // ---- memories of 16-byte words, from port 0
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(depth_words(G, MEMORY_RNG))) u_rng (
    .clk_i,
    .ren_i(vector_i.rng_read.enable), .raddr_i(vector_i.rng_read.address),
    .rdata_o(vector_rng_data_o),
    .wen_i(load0_valid && load0.memory == MEMORY_RNG),
    .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(G.par_words)) u_par (
    .clk_i,
    .ren_i(matrix_i.par_read.enable), .raddr_i(matrix_i.par_read.address),
    .rdata_o(matrix_par_data_o),
    .wen_i(load0_valid && load0.memory == MEMORY_PAR),
    .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(G.lnp_words)) u_lnp (
    .clk_i,
    .ren_i(vector_i.lnp_read.enable), .raddr_i(vector_i.lnp_read.address),
    .rdata_o(vector_lnp_data_o),
    .wen_i(load0_valid && load0.memory == MEMORY_LNP),
    .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );

  // ---- weight slots, slot s from port s mod P
  for (genvar s = 0; s < WEIGHT_SLOTS; s++) begin : g_wgt
    localparam int unsigned PORT = s % G.ports;
    localparam logic [3:0] SLOT = 4'(MEMORY_WGT0) + 4'(s);
    beat_write_t          write;
    logic [15:0]          slices;
    logic [OPD_BITS-1:0]  data;
    logic [OPD_BYTES-1:0] enables;
    assign write  = load_i[PORT];
    assign slices = slice_enable(write.slice);
    for (genvar i = 0; i < OPD_BITS / BEAT_BITS; i++) begin : g_slice
      assign data[i*BEAT_BITS+:BEAT_BITS] = write.data;
      assign enables[i*BEAT_BYTES+:BEAT_BYTES] = {BEAT_BYTES{slices[i]}};
    end
    logic unused_slices;
    assign unused_slices = ^slices;
    fqbert_ram #(.BYTES(OPD_BYTES), .DEPTH(G.wgt_words)) u_slot (
      .clk_i,
      .ren_i(matrix_i.wgt_slots[s]), .raddr_i(matrix_i.wgt_address), .rdata_o(matrix_wgt_data_o[s]),
      .wen_i(load_valid_i[PORT] && write.memory == SLOT),
      .waddr_i(write.address), .wdata_i(data), .wbe_i(enables)
    );
  end
  logic unused_slices;
  assign unused_slices = ^load0_slices;

endmodule
