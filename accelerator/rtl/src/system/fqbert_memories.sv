// The on-chip memories and who may use their ports in a cycle. Where two units write or read one
// memory, the order is fixed: MATRIX before VECTOR before LOAD for writes, MATRIX or VECTOR before
// STORE for reads; so the engines' pipelines never wait for DMA.
module fqbert_memories
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t G = GEOMETRY_TINY,
  localparam int unsigned ACT_BITS = 8 * word_bytes(G, MEMORY_ACT),
  localparam int unsigned RES_BITS = 8 * word_bytes(G, MEMORY_RESX),
  localparam int unsigned OPD_BITS = 8 * word_bytes(G, MEMORY_OPD),
  localparam int unsigned SCR_BITS = 8 * word_bytes(G, MEMORY_SCR),
  localparam int unsigned BANK_BITS = 8 * G.lanes
) (
  input  logic                                   clk_i,

  // LOAD, by read port.
  input  logic        [G.ports-1:0]              load_valid_i,
  output logic        [G.ports-1:0]              load_ready_o,
  input  beat_write_t [G.ports-1:0]              load_i,

  // STORE.
  input  logic                                   store_valid_i,
  output logic                                   store_ready_o,
  input  memory_e                                store_memory_i,
  input  logic [15:0]                            store_address_i,
  input  logic [3:0]                             store_slice_i,
  output logic [BEAT_BITS-1:0]                   store_data_o,

  // MATRIX.
  input  logic                                   matrix_act_ren_i,
  input  logic [15:0]                            matrix_act_raddr_i,
  output logic [ACT_BITS-1:0]                    matrix_act_rdata_o,
  input  logic                                   matrix_prb_ren_i,
  input  logic [15:0]                            matrix_prb_raddr_i,
  output logic [ACT_BITS-1:0]                    matrix_prb_rdata_o,
  input  logic [WEIGHT_SLOTS-1:0]                matrix_wgt_ren_i,
  input  logic [15:0]                            matrix_wgt_raddr_i,
  output logic [WEIGHT_SLOTS-1:0][OPD_BITS-1:0]  matrix_wgt_rdata_o,
  input  logic                                   matrix_opd_ren_i,
  input  logic [15:0]                            matrix_opd_raddr_i,
  output logic [OPD_BITS-1:0]                    matrix_opd_rdata_o,
  input  logic                                   matrix_par_ren_i,
  input  logic [15:0]                            matrix_par_raddr_i,
  output logic [BEAT_BITS-1:0]                   matrix_par_rdata_o,
  input  logic                                   matrix_act_wen_i,
  input  logic [15:0]                            matrix_act_waddr_i,
  input  logic [ACT_BITS-1:0]                    matrix_act_wdata_i,
  input  logic [ACT_BITS/8-1:0]                  matrix_act_wbe_i,
  input  logic                                   matrix_resb_wen_i,
  input  logic [15:0]                            matrix_resb_waddr_i,
  input  logic [RES_BITS-1:0]                    matrix_resb_wdata_i,
  input  logic                                   matrix_scr_wen_i,
  input  logic [15:0]                            matrix_scr_waddr_i,
  input  logic [SCR_BITS-1:0]                    matrix_scr_wdata_i,
  input  logic [G.pairs-1:0]                     matrix_opd_wen_i,
  input  logic [G.pairs-1:0][15:0]               matrix_opd_waddr_i,
  input  logic [G.pairs-1:0][BANK_BITS-1:0]      matrix_opd_wdata_i,
  input  logic [G.pairs-1:0][BANK_BITS/8-1:0]    matrix_opd_wbe_i,

  // VECTOR.
  input  logic                                   vector_scr_ren_i,
  input  logic [15:0]                            vector_scr_raddr_i,
  output logic [SCR_BITS-1:0]                    vector_scr_rdata_o,
  input  logic                                   vector_resx_ren_i,
  input  logic [15:0]                            vector_resx_raddr_i,
  output logic [RES_BITS-1:0]                    vector_resx_rdata_o,
  input  logic                                   vector_resb_ren_i,
  input  logic [15:0]                            vector_resb_raddr_i,
  output logic [RES_BITS-1:0]                    vector_resb_rdata_o,
  input  logic                                   vector_rng_ren_i,
  input  logic [15:0]                            vector_rng_raddr_i,
  output logic [BEAT_BITS-1:0]                   vector_rng_rdata_o,
  input  logic                                   vector_lnp_ren_i,
  input  logic [15:0]                            vector_lnp_raddr_i,
  output logic [BEAT_BITS-1:0]                   vector_lnp_rdata_o,
  input  logic                                   vector_prb_wen_i,
  input  logic [15:0]                            vector_prb_waddr_i,
  input  logic [ACT_BITS-1:0]                    vector_prb_wdata_i,
  input  logic [ACT_BITS/8-1:0]                  vector_prb_wbe_i,
  input  logic                                   vector_resx_wen_i,
  input  logic [15:0]                            vector_resx_waddr_i,
  input  logic [RES_BITS-1:0]                    vector_resx_wdata_i,
  input  logic [RES_BITS/8-1:0]                  vector_resx_wbe_i,
  input  logic                                   vector_act_wen_i,
  output logic                                   vector_act_wready_o,
  input  logic [15:0]                            vector_act_waddr_i,
  input  logic [ACT_BITS-1:0]                    vector_act_wdata_i,
  input  logic [ACT_BITS/8-1:0]                  vector_act_wbe_i,

  // Tables live in the engines' lanes: LOAD's writes to EXP and GEL go out.
  output logic                                   gel_wen_o,
  output logic                                   exp_wen_o,
  output logic [15:0]                            table_waddr_o,
  output logic [BEAT_BITS-1:0]                   table_wdata_o
);

  localparam int unsigned ACT_BYTES = ACT_BITS / 8;
  localparam int unsigned RES_BYTES = RES_BITS / 8;
  localparam int unsigned OPD_BYTES = OPD_BITS / 8;

  // ---- LOAD's beats as writes of whole words under byte enables
  // ----------------------------------------------------
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
    if (load0.memory == MEMORY_ACT) load_ready_o[0] = !matrix_act_wen_i && !vector_act_wen_i;
    if (load0.memory == MEMORY_RESX) load_ready_o[0] = !vector_resx_wen_i;
  end
  assign gel_wen_o     = load0_valid && load0.memory == MEMORY_GEL;
  assign exp_wen_o     = load0_valid && load0.memory == MEMORY_EXP;
  assign table_waddr_o = load0.address;
  assign table_wdata_o = load0.data;

  // ---- STORE
  // -------------------------------------------------------------------------------------------------------
  logic store_act, store_resx;
  assign store_act  = store_valid_i && store_memory_i == MEMORY_ACT;
  assign store_resx = store_valid_i && store_memory_i == MEMORY_RESX;
  assign store_ready_o = store_memory_i == MEMORY_ACT ? !matrix_act_ren_i : !vector_resx_ren_i;

  logic [1:0]      store_act_q;
  logic [1:0][3:0] store_slice_q;
  always_ff @(posedge clk_i) begin
    store_act_q   <= {store_act_q[0], store_memory_i == MEMORY_ACT};
    store_slice_q <= {store_slice_q[0], store_slice_i};
  end
  always_comb begin
    store_data_o = '0;
    for (int unsigned s = 0; s < ACT_BITS / BEAT_BITS; s++) begin
      if (store_act_q[1] && store_slice_q[1] == 4'(s)) store_data_o = matrix_act_rdata_o[s*BEAT_BITS+:BEAT_BITS];
    end
    for (int unsigned s = 0; s < RES_BITS / BEAT_BITS; s++) begin
      if (!store_act_q[1] && store_slice_q[1] == 4'(s)) store_data_o = vector_resx_rdata_o[s*BEAT_BITS+:BEAT_BITS];
    end
  end

  // ---- ACT
  // ---------------------------------------------------------------------------------------------------------
  logic                 act_wen;
  logic [15:0]          act_waddr;
  logic [ACT_BITS-1:0]  act_wdata;
  logic [ACT_BYTES-1:0] act_wbe;
  assign vector_act_wready_o = !matrix_act_wen_i;
  always_comb begin
    act_wen   = matrix_act_wen_i || vector_act_wen_i || load_act_valid;
    act_waddr = load0.address;
    act_wdata = load_act;
    act_wbe   = load_act_be;
    if (vector_act_wen_i) begin
      act_waddr = vector_act_waddr_i;
      act_wdata = vector_act_wdata_i;
      act_wbe   = vector_act_wbe_i;
    end
    if (matrix_act_wen_i) begin
      act_waddr = matrix_act_waddr_i;
      act_wdata = matrix_act_wdata_i;
      act_wbe   = matrix_act_wbe_i;
    end
  end
  fqbert_ram #(.BYTES(ACT_BYTES), .DEPTH(G.act_words)) u_act (
    .clk_i,
    .ren_i(matrix_act_ren_i || store_act),
    .raddr_i(matrix_act_ren_i ? matrix_act_raddr_i : store_address_i),
    .rdata_o(matrix_act_rdata_o),
    .wen_i(act_wen), .waddr_i(act_waddr), .wdata_i(act_wdata), .wbe_i(act_wbe)
  );

  // ---- RESX, RESB
  // --------------------------------------------------------------------------------------------------
  fqbert_ram #(.BYTES(RES_BYTES), .DEPTH(G.resx_words)) u_resx (
    .clk_i,
    .ren_i(vector_resx_ren_i || store_resx),
    .raddr_i(vector_resx_ren_i ? vector_resx_raddr_i : store_address_i),
    .rdata_o(vector_resx_rdata_o),
    .wen_i(vector_resx_wen_i || load_resx_valid),
    .waddr_i(vector_resx_wen_i ? vector_resx_waddr_i : load0.address),
    .wdata_i(vector_resx_wen_i ? vector_resx_wdata_i : load_resx),
    .wbe_i(vector_resx_wen_i ? vector_resx_wbe_i : load_resx_be)
  );
  fqbert_ram #(.BYTES(RES_BYTES), .DEPTH(G.resb_words)) u_resb (
    .clk_i,
    .ren_i(vector_resb_ren_i), .raddr_i(vector_resb_raddr_i), .rdata_o(vector_resb_rdata_o),
    .wen_i(matrix_resb_wen_i), .waddr_i(matrix_resb_waddr_i), .wdata_i(matrix_resb_wdata_i), .wbe_i('1)
  );

  // ---- OPD: a bank for each pair
  // -----------------------------------------------------------------------------------
  for (genvar c = 0; c < G.pairs; c++) begin : g_opd
    fqbert_ram #(.BYTES(BANK_BITS / 8), .DEPTH(G.opd_words)) u_bank (
      .clk_i,
      .ren_i(matrix_opd_ren_i), .raddr_i(matrix_opd_raddr_i), .rdata_o(matrix_opd_rdata_o[c*BANK_BITS+:BANK_BITS]),
      .wen_i(matrix_opd_wen_i[c]), .waddr_i(matrix_opd_waddr_i[c]), .wdata_i(matrix_opd_wdata_i[c]), .wbe_i(matrix_opd_wbe_i[c])
    );
  end

  // ---- SCR, PRB
  // ----------------------------------------------------------------------------------------------------
  fqbert_ram #(.BYTES(SCR_BITS / 8), .DEPTH(G.scr_words)) u_scr (
    .clk_i,
    .ren_i(vector_scr_ren_i), .raddr_i(vector_scr_raddr_i), .rdata_o(vector_scr_rdata_o),
    .wen_i(matrix_scr_wen_i), .waddr_i(matrix_scr_waddr_i), .wdata_i(matrix_scr_wdata_i), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(ACT_BYTES), .DEPTH(G.prb_words)) u_prb (
    .clk_i,
    .ren_i(matrix_prb_ren_i), .raddr_i(matrix_prb_raddr_i), .rdata_o(matrix_prb_rdata_o),
    .wen_i(vector_prb_wen_i), .waddr_i(vector_prb_waddr_i), .wdata_i(vector_prb_wdata_i), .wbe_i(vector_prb_wbe_i)
  );

  // ---- memories of 16-byte words, from port 0
  // ----------------------------------------------------------------------
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(depth_words(G, MEMORY_RNG))) u_rng (
    .clk_i,
    .ren_i(vector_rng_ren_i), .raddr_i(vector_rng_raddr_i), .rdata_o(vector_rng_rdata_o),
    .wen_i(load0_valid && load0.memory == MEMORY_RNG), .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(G.par_words)) u_par (
    .clk_i,
    .ren_i(matrix_par_ren_i), .raddr_i(matrix_par_raddr_i), .rdata_o(matrix_par_rdata_o),
    .wen_i(load0_valid && load0.memory == MEMORY_PAR), .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );
  fqbert_ram #(.BYTES(BEAT_BYTES), .DEPTH(G.lnp_words)) u_lnp (
    .clk_i,
    .ren_i(vector_lnp_ren_i), .raddr_i(vector_lnp_raddr_i), .rdata_o(vector_lnp_rdata_o),
    .wen_i(load0_valid && load0.memory == MEMORY_LNP), .waddr_i(load0.address), .wdata_i(load0.data), .wbe_i('1)
  );

  // ---- weight slots, slot s from port s mod P
  // ----------------------------------------------------------------------
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
      .ren_i(matrix_wgt_ren_i[s]), .raddr_i(matrix_wgt_raddr_i), .rdata_o(matrix_wgt_rdata_o[s]),
      .wen_i(load_valid_i[PORT] && write.memory == SLOT), .waddr_i(write.address), .wdata_i(data), .wbe_i(enables)
    );
  end
  logic unused_slices;
  assign unused_slices = ^load0_slices;

endmodule
