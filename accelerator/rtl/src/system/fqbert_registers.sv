// The generated AXI4-Lite register block with the accelerator's state behind it: geometry, status,
// counters, and the two sticky bits of what was ignored. A soft reset request stands in
// CONTROL.RESET until the control unit has finished it.
module fqbert_registers
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t   G = GEOMETRY_TINY,
  parameter int unsigned BUILD = 0
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,

  input  axil_req_t                  axil_i,
  output axil_rsp_t                  axil_o,

  output logic                       doorbell_o,
  output logic                       reset_o,
  input  logic                       reset_done_i,
  output logic [63:0]                program_address_o,
  output logic [31:0]                program_length_o,
  output window_t                    window_o,

  input  logic                       busy_i,
  input  logic                       done_i,
  input  logic                       faulted_i,
  input  logic                       doorbell_accepted_i,
  input  logic                       doorbell_ignored_i,
  input  logic                       done_event_i,
  input  logic                       fault_event_i,
  input  fault_t                     fault_i,
  input  logic [63:0]                cycles_i,
  input  logic [31:0]                runs_completed_i,
  input  logic [31:0]                runs_faulted_i,
  input  logic [UNITS-1:0][31:0]     unit_busy_i,
  input  logic [UNITS-1:0][31:0]     unit_stall_i,
  input  logic [UNITS-1:0][31:0]     unit_retired_i,
  input  logic [SEMAPHORES-1:0][7:0] semaphores_i,

  output logic                       irq_o
);

  fqbert_regs_pkg::fqbert_regs__in_t  hwif_in;
  fqbert_regs_pkg::fqbert_regs__out_t hwif_out;

  fqbert_regs u_regs (
    .clk(clk_i), .rst(!rst_ni),
    .s_axil_awvalid(axil_i.aw_valid), .s_axil_awready(axil_o.aw_ready),
    .s_axil_awaddr(axil_i.aw_addr), .s_axil_awprot(3'd0),
    .s_axil_wvalid(axil_i.w_valid), .s_axil_wready(axil_o.w_ready),
    .s_axil_wdata(axil_i.w_data), .s_axil_wstrb(axil_i.w_strb),
    .s_axil_bvalid(axil_o.b_valid), .s_axil_bready(axil_i.b_ready), .s_axil_bresp(axil_o.b_resp),
    .s_axil_arvalid(axil_i.ar_valid), .s_axil_arready(axil_o.ar_ready),
    .s_axil_araddr(axil_i.ar_addr), .s_axil_arprot(3'd0),
    .s_axil_rvalid(axil_o.r_valid), .s_axil_rready(axil_i.r_ready),
    .s_axil_rdata(axil_o.r_data), .s_axil_rresp(axil_o.r_resp),
    .hwif_in, .hwif_out
  );

  logic configured;
  assign configured = hwif_out.PROGRAM_ADDRESS_LOW.ADDRESS.swmod
                   || hwif_out.PROGRAM_ADDRESS_HIGH.ADDRESS.swmod
                   || hwif_out.PROGRAM_LENGTH.INSTRUCTIONS.swmod
                   || hwif_out.WINDOW_BASE_LOW.ADDRESS.swmod
                   || hwif_out.WINDOW_BASE_HIGH.ADDRESS.swmod
                   || hwif_out.WINDOW_LIMIT_LOW.ADDRESS.swmod
                   || hwif_out.WINDOW_LIMIT_HIGH.ADDRESS.swmod;

  always_comb begin
    hwif_in.field_reset   = !rst_ni || hwif_out.CONTROL.RESET.value;
    hwif_in.config_locked = busy_i;

    hwif_in.FEATURES.FEATURES.next          = FEATURES_ALL;
    hwif_in.BUILD.BUILD.next                = BUILD;
    hwif_in.GEOMETRY_ARRAY.ROWS.next        = 8'(G.rows);
    hwif_in.GEOMETRY_ARRAY.PAIRS.next       = 8'(G.pairs);
    hwif_in.GEOMETRY_ARRAY.LANES.next       = 8'(G.lanes);
    hwif_in.GEOMETRY_ARRAY.PORTS.next       = 4'(G.ports);
    hwif_in.GEOMETRY_ARRAY.LN_CHANNELS.next = 4'(G.ln_channels);
    hwif_in.GEOMETRY_LIMITS.MAX_SEQ.next    = 16'(G.max_seq);
    hwif_in.GEOMETRY_LIMITS.MAX_HIDDEN.next = 16'(G.max_hidden);
    hwif_in.CLOCK_HZ.HZ.next     = G.clock_hz;
    hwif_in.ACT_WORDS.WORDS.next  = G.act_words;
    hwif_in.OPD_WORDS.WORDS.next  = G.opd_words;
    hwif_in.RESX_WORDS.WORDS.next = G.resx_words;
    hwif_in.RESB_WORDS.WORDS.next = G.resb_words;
    hwif_in.SCR_WORDS.WORDS.next  = G.scr_words;
    hwif_in.PRB_WORDS.WORDS.next  = G.prb_words;
    hwif_in.WGT_WORDS.WORDS.next  = G.wgt_words;
    hwif_in.PAR_WORDS.WORDS.next  = G.par_words;
    hwif_in.LNP_WORDS.WORDS.next  = G.lnp_words;

    hwif_in.CONTROL.RESET.hwclr = reset_done_i;
    hwif_in.STATUS.IDLE.next    = !busy_i;
    hwif_in.STATUS.BUSY.next    = busy_i;
    hwif_in.STATUS.DONE.next    = done_i;
    hwif_in.STATUS.FAULT.next   = faulted_i;
    hwif_in.STATUS.DOORBELL_IGNORED.hwset = doorbell_ignored_i;
    hwif_in.STATUS.DOORBELL_IGNORED.hwclr = doorbell_accepted_i;
    hwif_in.STATUS.CONFIG_IGNORED.hwset   = busy_i && configured;
    hwif_in.STATUS.CONFIG_IGNORED.hwclr   = doorbell_accepted_i;
    hwif_in.IRQ_STATUS.DONE.hwset  = done_event_i;
    hwif_in.IRQ_STATUS.FAULT.hwset = fault_event_i;

    hwif_in.FAULT_CAUSE.CAUSE.next          = 32'(fault_i.cause);
    hwif_in.FAULT_INDEX.INDEX.next          = 32'(fault_i.index);
    hwif_in.FAULT_ADDRESS_LOW.ADDRESS.next  = fault_i.address[31:0];
    hwif_in.FAULT_ADDRESS_HIGH.ADDRESS.next = fault_i.address[63:32];
    hwif_in.RUNS_COMPLETED.COUNT.next       = runs_completed_i;
    hwif_in.RUNS_FAULTED.COUNT.next         = runs_faulted_i;
    hwif_in.CYCLES_LOW.COUNT.next           = cycles_i[31:0];
    hwif_in.CYCLES_HIGH.COUNT.next          = cycles_i[63:32];
    for (int unsigned u = 0; u < UNITS; u++) begin
      hwif_in.BUSY[u].COUNT.next    = unit_busy_i[u];
      hwif_in.STALL[u].COUNT.next   = unit_stall_i[u];
      hwif_in.RETIRED[u].COUNT.next = unit_retired_i[u];
    end
    for (int unsigned i = 0; i < SEMAPHORES / 4; i++) begin
      hwif_in.SEMAPHORES[i].COUNT0.next = semaphores_i[4*i];
      hwif_in.SEMAPHORES[i].COUNT1.next = semaphores_i[4*i+1];
      hwif_in.SEMAPHORES[i].COUNT2.next = semaphores_i[4*i+2];
      hwif_in.SEMAPHORES[i].COUNT3.next = semaphores_i[4*i+3];
    end
  end

  assign doorbell_o        = hwif_out.DOORBELL.RING.swmod;
  assign reset_o           = hwif_out.CONTROL.RESET.value;
  assign program_address_o = {
    hwif_out.PROGRAM_ADDRESS_HIGH.ADDRESS.value, hwif_out.PROGRAM_ADDRESS_LOW.ADDRESS.value
  };
  assign program_length_o  = hwif_out.PROGRAM_LENGTH.INSTRUCTIONS.value;
  assign window_o.base     = {
    hwif_out.WINDOW_BASE_HIGH.ADDRESS.value, hwif_out.WINDOW_BASE_LOW.ADDRESS.value
  };
  assign window_o.limit    = {
    hwif_out.WINDOW_LIMIT_HIGH.ADDRESS.value, hwif_out.WINDOW_LIMIT_LOW.ADDRESS.value
  };
  assign irq_o             = hwif_out.IRQ_STATUS.intr;

endmodule
