// The `tiny` accelerator without its compute engines, for benches with bus-functional models of
// them: the shell and the on-chip memories with single signals for ports, and of the engines'
// memory ports those that such a bench drives or looks at.
module fqbert_shell_bench
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_memory_pkg::*;
  import fqbert_system_pkg::*;
#(
  localparam geometry_t G = GEOMETRY_TINY,
  localparam int unsigned ACT_BITS = 8 * word_bytes(G, MEMORY_ACT),
  localparam int unsigned RES_BITS = 8 * word_bytes(G, MEMORY_RESX),
  localparam int unsigned OPD_BITS = 8 * word_bytes(G, MEMORY_OPD)
) (
  input  logic                                        clk_i,
  // Synchronous.
  input  logic                                        rst_ni,
  output logic                                        irq_o,

  // Registers: AXI4-Lite.
  input  logic                                        axil_awvalid_i,
  output logic                                        axil_awready_o,
  input  logic [11:0]                                 axil_awaddr_i,
  input  logic                                        axil_wvalid_i,
  output logic                                        axil_wready_o,
  input  logic [31:0]                                 axil_wdata_i,
  input  logic [3:0]                                  axil_wstrb_i,
  output logic                                        axil_bvalid_o,
  input  logic                                        axil_bready_i,
  output logic [1:0]                                  axil_bresp_o,
  input  logic                                        axil_arvalid_i,
  output logic                                        axil_arready_o,
  input  logic [11:0]                                 axil_araddr_i,
  output logic                                        axil_rvalid_o,
  input  logic                                        axil_rready_i,
  output logic [31:0]                                 axil_rdata_o,
  output logic [1:0]                                  axil_rresp_o,

  // Instructions (read) and results (write): one AXI4 port of 128 bits.
  output logic                                        ctl_arvalid_o,
  input  logic                                        ctl_arready_i,
  output logic [63:0]                                 ctl_araddr_o,
  output logic [7:0]                                  ctl_arlen_o,
  input  logic                                        ctl_rvalid_i,
  output logic                                        ctl_rready_o,
  input  logic [BEAT_BITS-1:0]                        ctl_rdata_i,
  input  logic [1:0]                                  ctl_rresp_i,
  input  logic                                        ctl_rlast_i,
  output logic                                        ctl_awvalid_o,
  input  logic                                        ctl_awready_i,
  output logic [63:0]                                 ctl_awaddr_o,
  output logic [7:0]                                  ctl_awlen_o,
  output logic                                        ctl_wvalid_o,
  input  logic                                        ctl_wready_i,
  output logic [BEAT_BITS-1:0]                        ctl_wdata_o,
  output logic                                        ctl_wlast_o,
  input  logic                                        ctl_bvalid_i,
  output logic                                        ctl_bready_o,
  input  logic [1:0]                                  ctl_bresp_i,

  // LOAD, by read port: AXI4, read channels of 128 bits.
  output logic [G.ports-1:0]                          load_arvalid_o,
  input  logic [G.ports-1:0]                          load_arready_i,
  output logic [G.ports-1:0][63:0]                    load_araddr_o,
  output logic [G.ports-1:0][7:0]                     load_arlen_o,
  input  logic [G.ports-1:0]                          load_rvalid_i,
  output logic [G.ports-1:0]                          load_rready_o,
  input  logic [G.ports-1:0][BEAT_BITS-1:0]           load_rdata_i,
  input  logic [G.ports-1:0][1:0]                     load_rresp_i,
  input  logic [G.ports-1:0]                          load_rlast_i,

  // Bus-functional models of the engines.
  output logic                                        engine_rst_no,
  output logic                                        matrix_valid_o,
  input  logic                                        matrix_ready_i,
  output logic [255:0]                                matrix_cmd_o,
  input  logic                                        matrix_retire_i,
  output logic                                        vector_valid_o,
  input  logic                                        vector_ready_i,
  output logic [255:0]                                vector_cmd_o,
  input  logic                                        vector_retire_i,
  // Accesses that hold up LOAD and STORE.
  input  logic                                        matrix_act_wen_i,
  input  logic                                        vector_act_wen_i,
  input  logic                                        vector_resx_wen_i,
  // Reads.
  input  logic                                        matrix_act_ren_i,
  input  logic [15:0]                                 matrix_act_raddr_i,
  output logic [ACT_BITS-1:0]                         matrix_act_rdata_o,
  input  logic                                        vector_resx_ren_i,
  input  logic [15:0]                                 vector_resx_raddr_i,
  output logic [RES_BITS-1:0]                         vector_resx_rdata_o,
  input  logic                                        vector_rng_ren_i,
  input  logic [15:0]                                 vector_rng_raddr_i,
  output logic [BEAT_BITS-1:0]                        vector_rng_rdata_o,
  input  logic [WEIGHT_SLOTS-1:0]                     matrix_wgt_ren_i,
  input  logic [15:0]                                 matrix_wgt_raddr_i,
  output logic [WEIGHT_SLOTS-1:0][OPD_BITS-1:0]       matrix_wgt_rdata_o,
  input  logic                                        matrix_par_ren_i,
  input  logic [15:0]                                 matrix_par_raddr_i,
  output logic [BEAT_BITS-1:0]                        matrix_par_rdata_o,
  input  logic                                        vector_lnp_ren_i,
  input  logic [15:0]                                 vector_lnp_raddr_i,
  output logic [BEAT_BITS-1:0]                        vector_lnp_rdata_o
);

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
  logic        [G.ports-1:0] write_valid, write_ready;
  beat_write_t [G.ports-1:0] write;
  logic                      read_valid, read_ready;
  beat_read_t                read;
  logic      [BEAT_BITS-1:0] read_data;

  fqbert_shell #(.G(G)) u_shell (
    .axil_i(axil_req), .axil_o(axil_rsp),
    .fetch_o(fetch_req), .fetch_i(fetch_rsp), .store_o(store_req), .store_i(store_rsp),
    .load_o(load_req), .load_i(load_rsp),
    .write_valid_o(write_valid), .write_ready_i(write_ready), .write_o(write),
    .read_valid_o(read_valid), .read_ready_i(read_ready), .read_o(read), .read_data_i(read_data),
    .*
  );

  // ---- the on-chip memories: engines' writes are of no bytes
  matrix_access_t matrix;
  vector_access_t vector;
  always_comb begin
    matrix = '0;
    matrix.act_read         = '{enable: matrix_act_ren_i, address: matrix_act_raddr_i};
    matrix.wgt_slots        = matrix_wgt_ren_i;
    matrix.wgt_address      = matrix_wgt_raddr_i;
    matrix.par_read         = '{enable: matrix_par_ren_i, address: matrix_par_raddr_i};
    matrix.act_write.enable = matrix_act_wen_i;
    vector = '0;
    vector.resx_read         = '{enable: vector_resx_ren_i, address: vector_resx_raddr_i};
    vector.rng_read          = '{enable: vector_rng_ren_i, address: vector_rng_raddr_i};
    vector.lnp_read          = '{enable: vector_lnp_ren_i, address: vector_lnp_raddr_i};
    vector.resx_write.enable = vector_resx_wen_i;
    vector.act_write.enable  = vector_act_wen_i;
  end

  /* verilator lint_off PINCONNECTEMPTY */
  fqbert_memories #(.G(G)) u_memories (
    .clk_i,
    .load_valid_i(write_valid), .load_ready_o(write_ready), .load_i(write),
    .store_valid_i(read_valid), .store_ready_o(read_ready),
    .store_i(read), .store_data_o(read_data),
    .matrix_i(matrix),
    .matrix_act_data_o(matrix_act_rdata_o), .matrix_prb_data_o(),
    .matrix_wgt_data_o(matrix_wgt_rdata_o), .matrix_opd_data_o(),
    .matrix_par_data_o(matrix_par_rdata_o),
    .matrix_act_data_i('0), .matrix_act_bytes_i('0), .matrix_resb_data_i('0),
    .matrix_scr_data_i('0), .matrix_opd_enable_i('0), .matrix_opd_address_i('0),
    .matrix_opd_data_i('0), .matrix_opd_bytes_i('0),
    .vector_i(vector), .vector_act_ready_o(), .vector_scr_data_o(),
    .vector_resx_data_o(vector_resx_rdata_o), .vector_resb_data_o(),
    .vector_rng_data_o(vector_rng_rdata_o), .vector_lnp_data_o(vector_lnp_rdata_o),
    .vector_prb_data_i('0), .vector_prb_bytes_i('0), .vector_resx_data_i('0),
    .vector_resx_bytes_i('0), .vector_act_data_i('0), .vector_act_bytes_i('0),
    .table_o()
  );
  /* verilator lint_on PINCONNECTEMPTY */

endmodule
