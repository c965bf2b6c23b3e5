// The accelerator: the shell, the on-chip memories and the two compute engines. P + 1 AXI4 masters
// of 128 bits (one for instructions and results, one for each LOAD queue), an AXI4-Lite slave, one
// clock, a synchronous reset and a level interrupt.
//
// Its ports are single signals, as block designs and test benches want them; so are the memory
// ports of the engines, which work alone in their benches. Structures begin here.
module fqbert_top
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_memory_pkg::*;
  import fqbert_system_pkg::*;
#(
  // Number of the geometry: 0 tiny, 1 paper, 2 zcu102, 3 zcu111.
  parameter int unsigned PRESET = 0,
  parameter int unsigned BUILD = 0,
  localparam geometry_t  G = preset(PRESET)
) (
  input  logic                                   clk_i,
  // Synchronous.
  input  logic                                   rst_ni,
  output logic                                   irq_o,

  // Registers: AXI4-Lite.
  input  logic                                   axil_awvalid_i,
  output logic                                   axil_awready_o,
  input  logic [11:0]                            axil_awaddr_i,
  input  logic                                   axil_wvalid_i,
  output logic                                   axil_wready_o,
  input  logic [31:0]                            axil_wdata_i,
  input  logic [3:0]                             axil_wstrb_i,
  output logic                                   axil_bvalid_o,
  input  logic                                   axil_bready_i,
  output logic [1:0]                             axil_bresp_o,
  input  logic                                   axil_arvalid_i,
  output logic                                   axil_arready_o,
  input  logic [11:0]                            axil_araddr_i,
  output logic                                   axil_rvalid_o,
  input  logic                                   axil_rready_i,
  output logic [31:0]                            axil_rdata_o,
  output logic [1:0]                             axil_rresp_o,

  // Instructions (read) and results (write): one AXI4 port of 128 bits.
  output logic                                   ctl_arvalid_o,
  input  logic                                   ctl_arready_i,
  output logic [63:0]                            ctl_araddr_o,
  output logic [7:0]                             ctl_arlen_o,
  input  logic                                   ctl_rvalid_i,
  output logic                                   ctl_rready_o,
  input  logic [BEAT_BITS-1:0]                   ctl_rdata_i,
  input  logic [1:0]                             ctl_rresp_i,
  input  logic                                   ctl_rlast_i,
  output logic                                   ctl_awvalid_o,
  input  logic                                   ctl_awready_i,
  output logic [63:0]                            ctl_awaddr_o,
  output logic [7:0]                             ctl_awlen_o,
  output logic                                   ctl_wvalid_o,
  input  logic                                   ctl_wready_i,
  output logic [BEAT_BITS-1:0]                   ctl_wdata_o,
  output logic                                   ctl_wlast_o,
  input  logic                                   ctl_bvalid_i,
  output logic                                   ctl_bready_o,
  input  logic [1:0]                             ctl_bresp_i,

  // LOAD, by read port: AXI4, read channels of 128 bits.
  output logic [G.ports-1:0]                     load_arvalid_o,
  input  logic [G.ports-1:0]                     load_arready_i,
  output logic [G.ports-1:0][63:0]               load_araddr_o,
  output logic [G.ports-1:0][7:0]                load_arlen_o,
  input  logic [G.ports-1:0]                     load_rvalid_i,
  output logic [G.ports-1:0]                     load_rready_o,
  input  logic [G.ports-1:0][BEAT_BITS-1:0]      load_rdata_i,
  input  logic [G.ports-1:0][1:0]                load_rresp_i,
  input  logic [G.ports-1:0]                     load_rlast_i,

  // The same for every burst of every port: 16 bytes a beat, incrementing, normal memory, all bytes
  // of a written beat.
  output logic [2:0]                             axi_size_o,
  output logic [1:0]                             axi_burst_o,
  output logic [3:0]                             axi_cache_o,
  output logic [2:0]                             axi_prot_o,
  output logic [15:0]                            axi_wstrb_o
);

  localparam int unsigned ACT_BITS = 8 * word_bytes(G, MEMORY_ACT);
  localparam int unsigned RES_BITS = 8 * word_bytes(G, MEMORY_RESX);
  localparam int unsigned OPD_BITS = 8 * word_bytes(G, MEMORY_OPD);
  localparam int unsigned SCR_BITS = 8 * word_bytes(G, MEMORY_SCR);
  localparam int unsigned BANK_BITS = 8 * G.lanes;

  assign axi_size_o  = 3'd4;
  assign axi_burst_o = 2'b01;
  assign axi_cache_o = 4'b0011;
  assign axi_prot_o  = 3'b000;
  assign axi_wstrb_o = '1;

  // ---- AXI4 and AXI4-Lite
  axil_req_t                   axil_req;
  axil_rsp_t                   axil_rsp;
  axi_read_req_t               fetch_req;
  axi_read_rsp_t               fetch_rsp;
  axi_write_req_t              store_req;
  axi_write_rsp_t              store_rsp;
  axi_read_req_t [G.ports-1:0] load_req;
  axi_read_rsp_t [G.ports-1:0] load_rsp;

  assign axil_req = '{
    aw_valid: axil_awvalid_i, aw_addr: axil_awaddr_i,
    w_valid: axil_wvalid_i, w_data: axil_wdata_i, w_strb: axil_wstrb_i,
    b_ready: axil_bready_i,
    ar_valid: axil_arvalid_i, ar_addr: axil_araddr_i,
    r_ready: axil_rready_i
  };
  assign axil_awready_o = axil_rsp.aw_ready;
  assign axil_wready_o  = axil_rsp.w_ready;
  assign axil_bvalid_o  = axil_rsp.b_valid;
  assign axil_bresp_o   = axil_rsp.b_resp;
  assign axil_arready_o = axil_rsp.ar_ready;
  assign axil_rvalid_o  = axil_rsp.r_valid;
  assign axil_rdata_o   = axil_rsp.r_data;
  assign axil_rresp_o   = axil_rsp.r_resp;

  assign ctl_arvalid_o = fetch_req.ar_valid;
  assign ctl_araddr_o  = fetch_req.ar.addr;
  assign ctl_arlen_o   = fetch_req.ar.len;
  assign ctl_rready_o  = fetch_req.r_ready;
  assign fetch_rsp = '{
    ar_ready: ctl_arready_i,
    r_valid: ctl_rvalid_i, r: '{data: ctl_rdata_i, resp: ctl_rresp_i, last: ctl_rlast_i}
  };

  assign ctl_awvalid_o = store_req.aw_valid;
  assign ctl_awaddr_o  = store_req.aw.addr;
  assign ctl_awlen_o   = store_req.aw.len;
  assign ctl_wvalid_o  = store_req.w_valid;
  assign ctl_wdata_o   = store_req.w.data;
  assign ctl_wlast_o   = store_req.w.last;
  assign ctl_bready_o  = store_req.b_ready;
  assign store_rsp = '{
    aw_ready: ctl_awready_i, w_ready: ctl_wready_i, b_valid: ctl_bvalid_i, b_resp: ctl_bresp_i
  };

  for (genvar p = 0; p < G.ports; p++) begin : g_load
    assign load_arvalid_o[p] = load_req[p].ar_valid;
    assign load_araddr_o[p]  = load_req[p].ar.addr;
    assign load_arlen_o[p]   = load_req[p].ar.len;
    assign load_rready_o[p]  = load_req[p].r_ready;
    assign load_rsp[p] = '{
      ar_ready: load_arready_i[p],
      r_valid: load_rvalid_i[p],
      r: '{data: load_rdata_i[p], resp: load_rresp_i[p], last: load_rlast_i[p]}
    };
  end

  // ---- the shell
  logic         engine_rst_n;
  logic         matrix_valid, matrix_ready, matrix_retire;
  logic         vector_valid, vector_ready, vector_retire;
  instruction_t matrix_cmd, vector_cmd;

  logic        [G.ports-1:0] write_valid, write_ready;
  beat_write_t [G.ports-1:0] write;
  logic                      read_valid, read_ready;
  beat_read_t                read;
  logic      [BEAT_BITS-1:0] read_data;

  fqbert_shell #(.G(G), .BUILD(BUILD)) u_shell (
    .clk_i, .rst_ni, .irq_o,
    .axil_i(axil_req), .axil_o(axil_rsp),
    .fetch_o(fetch_req), .fetch_i(fetch_rsp), .store_o(store_req), .store_i(store_rsp),
    .load_o(load_req), .load_i(load_rsp),
    .engine_rst_no(engine_rst_n),
    .matrix_valid_o(matrix_valid), .matrix_ready_i(matrix_ready),
    .matrix_cmd_o(matrix_cmd), .matrix_retire_i(matrix_retire),
    .vector_valid_o(vector_valid), .vector_ready_i(vector_ready),
    .vector_cmd_o(vector_cmd), .vector_retire_i(vector_retire),
    .write_valid_o(write_valid), .write_ready_i(write_ready), .write_o(write),
    .read_valid_o(read_valid), .read_ready_i(read_ready), .read_o(read), .read_data_i(read_data)
  );

  // ---- the on-chip memories
  matrix_access_t                        matrix;
  logic [ACT_BITS-1:0]                   matrix_act_rdata, matrix_prb_rdata, matrix_act_wdata;
  logic [WEIGHT_SLOTS-1:0][OPD_BITS-1:0] matrix_wgt_rdata;
  logic [OPD_BITS-1:0]                   matrix_opd_rdata;
  logic [BEAT_BITS-1:0]                  matrix_par_rdata;
  logic [ACT_BITS/8-1:0]                 matrix_act_bytes;
  logic [RES_BITS-1:0]                   matrix_resb_wdata;
  logic [SCR_BITS-1:0]                   matrix_scr_wdata;
  logic [G.pairs-1:0]                    matrix_opd_enable;
  logic [G.pairs-1:0][15:0]              matrix_opd_address;
  logic [G.pairs-1:0][BANK_BITS-1:0]     matrix_opd_wdata;
  logic [G.pairs-1:0][BANK_BITS/8-1:0]   matrix_opd_bytes;

  vector_access_t        vector;
  logic                  vector_act_ready;
  logic [SCR_BITS-1:0]   vector_scr_rdata;
  logic [RES_BITS-1:0]   vector_resx_rdata, vector_resb_rdata, vector_resx_wdata;
  logic [BEAT_BITS-1:0]  vector_rng_rdata, vector_lnp_rdata;
  logic [ACT_BITS-1:0]   vector_prb_wdata, vector_act_wdata;
  logic [ACT_BITS/8-1:0] vector_prb_bytes, vector_act_bytes;
  logic [RES_BITS/8-1:0] vector_resx_bytes;

  table_write_t table_write;

  fqbert_memories #(.G(G)) u_memories (
    .clk_i,
    .load_valid_i(write_valid), .load_ready_o(write_ready), .load_i(write),
    .store_valid_i(read_valid), .store_ready_o(read_ready),
    .store_i(read), .store_data_o(read_data),
    .matrix_i(matrix),
    .matrix_act_data_o(matrix_act_rdata), .matrix_prb_data_o(matrix_prb_rdata),
    .matrix_wgt_data_o(matrix_wgt_rdata), .matrix_opd_data_o(matrix_opd_rdata),
    .matrix_par_data_o(matrix_par_rdata),
    .matrix_act_data_i(matrix_act_wdata), .matrix_act_bytes_i(matrix_act_bytes),
    .matrix_resb_data_i(matrix_resb_wdata), .matrix_scr_data_i(matrix_scr_wdata),
    .matrix_opd_enable_i(matrix_opd_enable), .matrix_opd_address_i(matrix_opd_address),
    .matrix_opd_data_i(matrix_opd_wdata), .matrix_opd_bytes_i(matrix_opd_bytes),
    .vector_i(vector), .vector_act_ready_o(vector_act_ready),
    .vector_scr_data_o(vector_scr_rdata), .vector_resx_data_o(vector_resx_rdata),
    .vector_resb_data_o(vector_resb_rdata), .vector_rng_data_o(vector_rng_rdata),
    .vector_lnp_data_o(vector_lnp_rdata),
    .vector_prb_data_i(vector_prb_wdata), .vector_prb_bytes_i(vector_prb_bytes),
    .vector_resx_data_i(vector_resx_wdata), .vector_resx_bytes_i(vector_resx_bytes),
    .vector_act_data_i(vector_act_wdata), .vector_act_bytes_i(vector_act_bytes),
    .table_o(table_write)
  );

  // ---- the engines
  // Words of RESB and SCR are always written whole.
  logic [RES_BITS/8-1:0] matrix_resb_bytes;
  logic [SCR_BITS/8-1:0] matrix_scr_bytes;
  logic unused_enables;
  assign unused_enables = ^{matrix_resb_bytes, matrix_scr_bytes};

  fqbert_matrix #(.ROWS(G.rows), .PAIRS(G.pairs), .LANES(G.lanes)) u_matrix (
    .clk_i, .rst_ni(engine_rst_n),
    .cmd_valid_i(matrix_valid), .cmd_ready_o(matrix_ready), .cmd_i(matrix_cmd),
    .retire_o(matrix_retire),
    .act_ren_o(matrix.act_read.enable), .act_raddr_o(matrix.act_read.address),
    .act_rdata_i(matrix_act_rdata),
    .prb_ren_o(matrix.prb_read.enable), .prb_raddr_o(matrix.prb_read.address),
    .prb_rdata_i(matrix_prb_rdata),
    .wgt_ren_o(matrix.wgt_slots), .wgt_raddr_o(matrix.wgt_address), .wgt_rdata_i(matrix_wgt_rdata),
    .opd_ren_o(matrix.opd_read.enable), .opd_raddr_o(matrix.opd_read.address),
    .opd_rdata_i(matrix_opd_rdata),
    .par_ren_o(matrix.par_read.enable), .par_raddr_o(matrix.par_read.address),
    .par_rdata_i(matrix_par_rdata),
    .gel_wen_i(table_write.gel_enable), .gel_waddr_i(table_write.address),
    .gel_wdata_i(table_write.data),
    .act_wen_o(matrix.act_write.enable), .act_waddr_o(matrix.act_write.address),
    .act_wdata_o(matrix_act_wdata), .act_wbe_o(matrix_act_bytes),
    .resb_wen_o(matrix.resb_write.enable), .resb_waddr_o(matrix.resb_write.address),
    .resb_wdata_o(matrix_resb_wdata), .resb_wbe_o(matrix_resb_bytes),
    .scr_wen_o(matrix.scr_write.enable), .scr_waddr_o(matrix.scr_write.address),
    .scr_wdata_o(matrix_scr_wdata), .scr_wbe_o(matrix_scr_bytes),
    .opd_wen_o(matrix_opd_enable), .opd_waddr_o(matrix_opd_address),
    .opd_wdata_o(matrix_opd_wdata), .opd_wbe_o(matrix_opd_bytes)
  );

  fqbert_vector #(
    .ROWS(G.rows), .LANES(G.lanes), .LN_CHANNELS(G.ln_channels),
    .MAX_SEQ(G.max_seq), .MAX_HIDDEN(G.max_hidden)
  ) u_vector (
    .clk_i, .rst_ni(engine_rst_n),
    .cmd_valid_i(vector_valid), .cmd_ready_o(vector_ready), .cmd_i(vector_cmd),
    .retire_o(vector_retire),
    .exp_wen_i(table_write.exp_enable), .exp_waddr_i(table_write.address),
    .exp_wdata_i(table_write.data),
    .scr_ren_o(vector.scr_read.enable), .scr_raddr_o(vector.scr_read.address),
    .scr_rdata_i(vector_scr_rdata),
    .rng_ren_o(vector.rng_read.enable), .rng_raddr_o(vector.rng_read.address),
    .rng_rdata_i(vector_rng_rdata),
    .prb_wen_o(vector.prb_write.enable), .prb_waddr_o(vector.prb_write.address),
    .prb_wdata_o(vector_prb_wdata), .prb_wbe_o(vector_prb_bytes),
    .resx_ren_o(vector.resx_read.enable), .resx_raddr_o(vector.resx_read.address),
    .resx_rdata_i(vector_resx_rdata),
    .resb_ren_o(vector.resb_read.enable), .resb_raddr_o(vector.resb_read.address),
    .resb_rdata_i(vector_resb_rdata),
    .lnp_ren_o(vector.lnp_read.enable), .lnp_raddr_o(vector.lnp_read.address),
    .lnp_rdata_i(vector_lnp_rdata),
    .resx_wen_o(vector.resx_write.enable), .resx_waddr_o(vector.resx_write.address),
    .resx_wdata_o(vector_resx_wdata), .resx_wbe_o(vector_resx_bytes),
    .act_wen_o(vector.act_write.enable), .act_wready_i(vector_act_ready),
    .act_waddr_o(vector.act_write.address), .act_wdata_o(vector_act_wdata),
    .act_wbe_o(vector_act_bytes)
  );

endmodule
