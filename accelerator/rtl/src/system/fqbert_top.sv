// The accelerator: the shell and the two compute engines. P + 1 AXI4 masters of 128 bits (one for
// instructions and results, one for each LOAD queue), an AXI4-Lite slave, one clock, a synchronous
// reset and a level interrupt.
module fqbert_top
  import fqbert_pkg::*;
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

  logic         engine_rst_n;
  logic         matrix_valid, matrix_ready, matrix_retire;
  logic         vector_valid, vector_ready, vector_retire;
  instruction_t matrix_cmd, vector_cmd;

  logic matrix_act_ren, matrix_prb_ren, matrix_opd_ren, matrix_par_ren, matrix_act_wen, matrix_resb_wen;
  logic matrix_scr_wen, vector_scr_ren, vector_resx_ren, vector_resb_ren, vector_rng_ren, vector_lnp_ren;
  logic vector_prb_wen, vector_resx_wen, vector_act_wen, vector_act_wready, gel_wen, exp_wen;
  logic [15:0] matrix_act_raddr, matrix_prb_raddr, matrix_wgt_raddr, matrix_opd_raddr, matrix_par_raddr;
  logic [15:0] matrix_act_waddr, matrix_resb_waddr, matrix_scr_waddr, vector_scr_raddr, vector_resx_raddr;
  logic [15:0] vector_resb_raddr, vector_rng_raddr, vector_lnp_raddr, vector_prb_waddr, vector_resx_waddr;
  logic [15:0] vector_act_waddr, table_waddr;
  logic [ACT_BITS-1:0] matrix_act_rdata, matrix_prb_rdata, matrix_act_wdata, vector_prb_wdata, vector_act_wdata;
  logic [WEIGHT_SLOTS-1:0] matrix_wgt_ren;
  logic [WEIGHT_SLOTS-1:0][OPD_BITS-1:0] matrix_wgt_rdata;
  logic [OPD_BITS-1:0] matrix_opd_rdata;
  logic [BEAT_BITS-1:0] matrix_par_rdata, vector_rng_rdata, vector_lnp_rdata, table_wdata;
  logic [ACT_BITS/8-1:0] matrix_act_wbe, vector_prb_wbe, vector_act_wbe;
  logic [RES_BITS-1:0] matrix_resb_wdata, vector_resx_rdata, vector_resb_rdata, vector_resx_wdata;
  logic [SCR_BITS-1:0] matrix_scr_wdata, vector_scr_rdata;
  logic [G.pairs-1:0] matrix_opd_wen;
  logic [G.pairs-1:0][15:0] matrix_opd_waddr;
  logic [G.pairs-1:0][BANK_BITS-1:0] matrix_opd_wdata;
  logic [G.pairs-1:0][BANK_BITS/8-1:0] matrix_opd_wbe;
  logic [RES_BITS/8-1:0] vector_resx_wbe;

  fqbert_shell #(.G(G), .BUILD(BUILD)) u_shell (
    .clk_i, .rst_ni, .irq_o, .axil_awvalid_i,
    .axil_awready_o, .axil_awaddr_i, .axil_wvalid_i, .axil_wready_o,
    .axil_wdata_i, .axil_wstrb_i, .axil_bvalid_o, .axil_bready_i,
    .axil_bresp_o, .axil_arvalid_i, .axil_arready_o, .axil_araddr_i,
    .axil_rvalid_o, .axil_rready_i, .axil_rdata_o, .axil_rresp_o,
    .ctl_arvalid_o, .ctl_arready_i, .ctl_araddr_o, .ctl_arlen_o,
    .ctl_rvalid_i, .ctl_rready_o, .ctl_rdata_i, .ctl_rresp_i,
    .ctl_rlast_i, .ctl_awvalid_o, .ctl_awready_i, .ctl_awaddr_o,
    .ctl_awlen_o, .ctl_wvalid_o, .ctl_wready_i, .ctl_wdata_o,
    .ctl_wlast_o, .ctl_bvalid_i, .ctl_bready_o, .ctl_bresp_i,
    .load_arvalid_o, .load_arready_i, .load_araddr_o, .load_arlen_o,
    .load_rvalid_i, .load_rready_o, .load_rdata_i, .load_rresp_i,
    .load_rlast_i,
    .engine_rst_no(engine_rst_n),
    .matrix_valid_o(matrix_valid), .matrix_ready_i(matrix_ready), .matrix_cmd_o(matrix_cmd), .matrix_retire_i(matrix_retire),
    .vector_valid_o(vector_valid), .vector_ready_i(vector_ready), .vector_cmd_o(vector_cmd), .vector_retire_i(vector_retire),
    .matrix_act_ren_i(matrix_act_ren), .matrix_act_raddr_i(matrix_act_raddr), .matrix_act_rdata_o(matrix_act_rdata),
    .matrix_prb_ren_i(matrix_prb_ren), .matrix_prb_raddr_i(matrix_prb_raddr), .matrix_prb_rdata_o(matrix_prb_rdata),
    .matrix_wgt_ren_i(matrix_wgt_ren), .matrix_wgt_raddr_i(matrix_wgt_raddr), .matrix_wgt_rdata_o(matrix_wgt_rdata),
    .matrix_opd_ren_i(matrix_opd_ren), .matrix_opd_raddr_i(matrix_opd_raddr), .matrix_opd_rdata_o(matrix_opd_rdata),
    .matrix_par_ren_i(matrix_par_ren), .matrix_par_raddr_i(matrix_par_raddr), .matrix_par_rdata_o(matrix_par_rdata),
    .matrix_act_wen_i(matrix_act_wen), .matrix_act_waddr_i(matrix_act_waddr), .matrix_act_wdata_i(matrix_act_wdata),
    .matrix_act_wbe_i(matrix_act_wbe), .matrix_resb_wen_i(matrix_resb_wen), .matrix_resb_waddr_i(matrix_resb_waddr),
    .matrix_resb_wdata_i(matrix_resb_wdata), .matrix_scr_wen_i(matrix_scr_wen),
    .matrix_scr_waddr_i(matrix_scr_waddr), .matrix_scr_wdata_i(matrix_scr_wdata), .matrix_opd_wen_i(matrix_opd_wen),
    .matrix_opd_waddr_i(matrix_opd_waddr), .matrix_opd_wdata_i(matrix_opd_wdata), .matrix_opd_wbe_i(matrix_opd_wbe),
    .vector_scr_ren_i(vector_scr_ren), .vector_scr_raddr_i(vector_scr_raddr), .vector_scr_rdata_o(vector_scr_rdata),
    .vector_resx_ren_i(vector_resx_ren), .vector_resx_raddr_i(vector_resx_raddr),
    .vector_resx_rdata_o(vector_resx_rdata), .vector_resb_ren_i(vector_resb_ren),
    .vector_resb_raddr_i(vector_resb_raddr), .vector_resb_rdata_o(vector_resb_rdata),
    .vector_rng_ren_i(vector_rng_ren), .vector_rng_raddr_i(vector_rng_raddr), .vector_rng_rdata_o(vector_rng_rdata),
    .vector_lnp_ren_i(vector_lnp_ren), .vector_lnp_raddr_i(vector_lnp_raddr), .vector_lnp_rdata_o(vector_lnp_rdata),
    .vector_prb_wen_i(vector_prb_wen), .vector_prb_waddr_i(vector_prb_waddr), .vector_prb_wdata_i(vector_prb_wdata),
    .vector_prb_wbe_i(vector_prb_wbe), .vector_resx_wen_i(vector_resx_wen), .vector_resx_waddr_i(vector_resx_waddr),
    .vector_resx_wdata_i(vector_resx_wdata), .vector_resx_wbe_i(vector_resx_wbe), .vector_act_wen_i(vector_act_wen),
    .vector_act_wready_o(vector_act_wready), .vector_act_waddr_i(vector_act_waddr),
    .vector_act_wdata_i(vector_act_wdata), .vector_act_wbe_i(vector_act_wbe), .gel_wen_o(gel_wen),
    .exp_wen_o(exp_wen), .table_waddr_o(table_waddr), .table_wdata_o(table_wdata)
  );

  // Words of RESB and SCR are always written whole.
  logic [RES_BITS/8-1:0] matrix_resb_wbe;
  logic [SCR_BITS/8-1:0] matrix_scr_wbe;
  logic unused_enables;
  assign unused_enables = ^{matrix_resb_wbe, matrix_scr_wbe};

  fqbert_matrix #(.ROWS(G.rows), .PAIRS(G.pairs), .LANES(G.lanes)) u_matrix (
    .clk_i, .rst_ni(engine_rst_n),
    .cmd_valid_i(matrix_valid), .cmd_ready_o(matrix_ready), .cmd_i(matrix_cmd), .retire_o(matrix_retire),
    .act_ren_o(matrix_act_ren), .act_raddr_o(matrix_act_raddr), .act_rdata_i(matrix_act_rdata),
    .prb_ren_o(matrix_prb_ren), .prb_raddr_o(matrix_prb_raddr), .prb_rdata_i(matrix_prb_rdata),
    .wgt_ren_o(matrix_wgt_ren), .wgt_raddr_o(matrix_wgt_raddr), .wgt_rdata_i(matrix_wgt_rdata),
    .opd_ren_o(matrix_opd_ren), .opd_raddr_o(matrix_opd_raddr), .opd_rdata_i(matrix_opd_rdata),
    .par_ren_o(matrix_par_ren), .par_raddr_o(matrix_par_raddr), .par_rdata_i(matrix_par_rdata),
    .act_wen_o(matrix_act_wen), .act_waddr_o(matrix_act_waddr), .act_wdata_o(matrix_act_wdata),
    .act_wbe_o(matrix_act_wbe), .resb_wen_o(matrix_resb_wen), .resb_waddr_o(matrix_resb_waddr),
    .resb_wdata_o(matrix_resb_wdata), .scr_wen_o(matrix_scr_wen), .scr_waddr_o(matrix_scr_waddr),
    .scr_wdata_o(matrix_scr_wdata), .opd_wen_o(matrix_opd_wen), .opd_waddr_o(matrix_opd_waddr),
    .opd_wdata_o(matrix_opd_wdata), .opd_wbe_o(matrix_opd_wbe), .gel_wen_i(gel_wen), .gel_waddr_i(table_waddr),
    .gel_wdata_i(table_wdata), .resb_wbe_o(matrix_resb_wbe), .scr_wbe_o(matrix_scr_wbe)
  );

  fqbert_vector #(
    .ROWS(G.rows), .LANES(G.lanes), .LN_CHANNELS(G.ln_channels), .MAX_SEQ(G.max_seq), .MAX_HIDDEN(G.max_hidden)
  ) u_vector (
    .clk_i, .rst_ni(engine_rst_n),
    .cmd_valid_i(vector_valid), .cmd_ready_o(vector_ready), .cmd_i(vector_cmd), .retire_o(vector_retire),
    .scr_ren_o(vector_scr_ren), .scr_raddr_o(vector_scr_raddr), .scr_rdata_i(vector_scr_rdata),
    .resx_ren_o(vector_resx_ren), .resx_raddr_o(vector_resx_raddr), .resx_rdata_i(vector_resx_rdata),
    .resb_ren_o(vector_resb_ren), .resb_raddr_o(vector_resb_raddr), .resb_rdata_i(vector_resb_rdata),
    .rng_ren_o(vector_rng_ren), .rng_raddr_o(vector_rng_raddr), .rng_rdata_i(vector_rng_rdata),
    .lnp_ren_o(vector_lnp_ren), .lnp_raddr_o(vector_lnp_raddr), .lnp_rdata_i(vector_lnp_rdata),
    .prb_wen_o(vector_prb_wen), .prb_waddr_o(vector_prb_waddr), .prb_wdata_o(vector_prb_wdata),
    .prb_wbe_o(vector_prb_wbe), .resx_wen_o(vector_resx_wen), .resx_waddr_o(vector_resx_waddr),
    .resx_wdata_o(vector_resx_wdata), .resx_wbe_o(vector_resx_wbe), .act_wen_o(vector_act_wen),
    .act_wready_i(vector_act_wready), .act_waddr_o(vector_act_waddr), .act_wdata_o(vector_act_wdata),
    .act_wbe_o(vector_act_wbe), .exp_wen_i(exp_wen), .exp_waddr_i(table_waddr), .exp_wdata_i(table_wdata)
  );

endmodule
