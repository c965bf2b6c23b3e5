// Everything of the accelerator but the two compute engines: registers, control, fetch, queues,
// semaphores, LOAD and STORE with their AXI4 masters, and the on-chip memories. The engines'
// command and memory ports are its lower side.
module fqbert_shell
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter int unsigned PRESET = 0,
  parameter geometry_t   G = preset(PRESET),
  parameter int unsigned BUILD = 0,
  localparam int unsigned ACT_BITS = 8 * word_bytes(G, MEMORY_ACT),
  localparam int unsigned RES_BITS = 8 * word_bytes(G, MEMORY_RESX),
  localparam int unsigned OPD_BITS = 8 * word_bytes(G, MEMORY_OPD),
  localparam int unsigned SCR_BITS = 8 * word_bytes(G, MEMORY_SCR),
  localparam int unsigned BANK_BITS = 8 * G.lanes
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

  // The engines. Their reset is low while no program runs.
  output logic                                   engine_rst_no,
  output logic                                   matrix_valid_o,
  input  logic                                   matrix_ready_i,
  output instruction_t                           matrix_cmd_o,
  input  logic                                   matrix_retire_i,
  output logic                                   vector_valid_o,
  input  logic                                   vector_ready_i,
  output instruction_t                           vector_cmd_o,
  input  logic                                   vector_retire_i,

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

  // ---- registers and control
  // ---------------------------------------------------------------------------------------
  localparam int unsigned SOURCES = G.ports + 3;

  logic                       doorbell, reset_request, reset_done;
  logic [63:0]                program_address, cycles;
  logic [31:0]                program_length, runs_completed, runs_faulted;
  window_t                    window;
  logic                       run, start, clear, busy, done, faulted;
  logic                       doorbell_accepted, doorbell_ignored, done_event, fault_event, ended, idle;
  fault_t                     fault;
  logic   [SOURCES-1:0]       fault_valid;
  fault_t [SOURCES-1:0]       faults;
  logic [UNITS-1:0][31:0]     unit_busy, unit_stall, unit_retired;
  logic [SEMAPHORES-1:0][7:0] semaphores;

  fqbert_registers #(.G(G), .BUILD(BUILD)) u_registers (
    .clk_i, .rst_ni,
    .awvalid_i(axil_awvalid_i), .awready_o(axil_awready_o), .awaddr_i(axil_awaddr_i),
    .wvalid_i(axil_wvalid_i), .wready_o(axil_wready_o), .wdata_i(axil_wdata_i), .wstrb_i(axil_wstrb_i),
    .bvalid_o(axil_bvalid_o), .bready_i(axil_bready_i), .bresp_o(axil_bresp_o),
    .arvalid_i(axil_arvalid_i), .arready_o(axil_arready_o), .araddr_i(axil_araddr_i),
    .rvalid_o(axil_rvalid_o), .rready_i(axil_rready_i), .rdata_o(axil_rdata_o), .rresp_o(axil_rresp_o),
    .doorbell_o(doorbell), .reset_o(reset_request), .reset_done_i(reset_done),
    .program_address_o(program_address), .program_length_o(program_length), .window_o(window),
    .busy_i(busy), .done_i(done), .faulted_i(faulted),
    .doorbell_accepted_i(doorbell_accepted), .doorbell_ignored_i(doorbell_ignored),
    .done_event_i(done_event), .fault_event_i(fault_event), .fault_i(fault),
    .cycles_i(cycles), .runs_completed_i(runs_completed), .runs_faulted_i(runs_faulted),
    .unit_busy_i(unit_busy), .unit_stall_i(unit_stall), .unit_retired_i(unit_retired), .semaphores_i(semaphores),
    .irq_o
  );

  fqbert_control #(.SOURCES(SOURCES)) u_control (
    .clk_i, .rst_ni,
    .doorbell_i(doorbell), .reset_i(reset_request), .reset_done_o(reset_done),
    .ended_i(ended), .fault_valid_i(fault_valid), .fault_i(faults), .idle_i(idle),
    .run_o(run), .start_o(start), .clear_o(clear), .busy_o(busy), .done_o(done), .faulted_o(faulted),
    .doorbell_accepted_o(doorbell_accepted), .doorbell_ignored_o(doorbell_ignored),
    .done_event_o(done_event), .fault_event_o(fault_event), .fault_o(fault),
    .cycles_o(cycles), .runs_completed_o(runs_completed), .runs_faulted_o(runs_faulted)
  );

  always_ff @(posedge clk_i) engine_rst_no <= run && rst_ni;

  // ---- fetch, queues, semaphores
  // -----------------------------------------------------------------------------------
  logic   [QUEUES-1:0]           push, queue_ready;
  entry_t                        dispatched;
  logic   [QUEUES-1:0]           cmd_valid, cmd_ready, retire;
  entry_t [QUEUES-1:0]           cmd;
  logic   [QUEUES-1:0][2:0][4:0] wait_ids, raise_ids;
  logic   [QUEUES-1:0][15:0]     raise_index;
  logic   [QUEUES-1:0]           granted, take, raise, overflow, quiet, queue_ended;
  logic                          fetch_idle;

  fqbert_fetch #(.G(G)) u_fetch (
    .clk_i, .rst_ni, .run_i(run), .clear_counters_i(clear), .start_i(start),
    .address_i(program_address), .length_i(program_length), .window_i(window),
    .arvalid_o(ctl_arvalid_o), .arready_i(ctl_arready_i), .araddr_o(ctl_araddr_o), .arlen_o(ctl_arlen_o),
    .rvalid_i(ctl_rvalid_i), .rready_o(ctl_rready_o), .rdata_i(ctl_rdata_i), .rresp_i(ctl_rresp_i), .rlast_i(ctl_rlast_i),
    .push_o(push), .entry_o(dispatched), .queue_ready_i(queue_ready),
    .fault_valid_o(fault_valid[0]), .fault_o(faults[0]), .idle_o(fetch_idle),
    .busy_o(unit_busy[0]), .stall_o(unit_stall[0]), .retired_o(unit_retired[0])
  );

  for (genvar q = 0; q < QUEUES; q++) begin : g_queue
    if (q < G.ports || q >= QUEUE_MATRIX) begin : g_built
      logic [QUEUES-1:0] others;
      assign others = quiet | (QUEUES'(1) << q);
      fqbert_queue u_queue (
        .clk_i, .run_i(run), .clear_counters_i(clear),
        .push_i(push[q]), .entry_i(dispatched), .ready_o(queue_ready[q]),
        .cmd_valid_o(cmd_valid[q]), .cmd_ready_i(cmd_ready[q]), .cmd_o(cmd[q]), .retire_i(retire[q]),
        .wait_ids_o(wait_ids[q]), .granted_i(granted[q]), .take_o(take[q]),
        .raise_o(raise[q]), .raise_ids_o(raise_ids[q]), .raise_index_o(raise_index[q]),
        .others_quiet_i(&others), .quiet_o(quiet[q]), .ended_o(queue_ended[q]),
        .busy_o(unit_busy[q+1]), .stall_o(unit_stall[q+1]), .retired_o(unit_retired[q+1])
      );
    end else begin : g_none
      // A read port that this geometry lacks: the field check lets nothing come here.
      assign queue_ready[q] = 1'b1;
      assign cmd_valid[q] = 1'b0;
      assign cmd[q] = '0;
      assign wait_ids[q] = '0;
      assign take[q] = 1'b0;
      assign raise[q] = 1'b0;
      assign raise_ids[q] = '0;
      assign raise_index[q] = '0;
      assign quiet[q] = 1'b1;
      assign queue_ended[q] = 1'b0;
      assign unit_busy[q+1] = '0;
      assign unit_stall[q+1] = '0;
      assign unit_retired[q+1] = '0;
      assign cmd_ready[q] = 1'b1;
      assign retire[q] = 1'b0;
      logic unused_queue;
      assign unused_queue = ^{push[q], granted[q], cmd_valid[q], cmd[q], cmd_ready[q], retire[q]};
    end
  end
  assign ended = |queue_ended;

  fqbert_semaphores u_semaphores (
    .clk_i, .clear_i(clear),
    .raise_i(raise), .raise_ids_i(raise_ids), .wait_ids_i(wait_ids), .granted_o(granted), .take_i(take),
    .overflow_o(overflow), .counts_o(semaphores)
  );
  logic [15:0] overflow_index;
  always_comb begin
    overflow_index = '0;
    for (int unsigned q = QUEUES; q > 0; q--) begin
      if (overflow[q-1]) overflow_index = raise_index[q-1];
    end
  end
  assign fault_valid[SOURCES-1] = |overflow;
  assign faults[SOURCES-1] = '{cause: FAULT_SEMAPHORE, index: 17'(overflow_index), address: '0};

  // ---- engines
  // -----------------------------------------------------------------------------------------------------
  assign matrix_valid_o = cmd_valid[QUEUE_MATRIX];
  assign matrix_cmd_o   = cmd[QUEUE_MATRIX].word;
  assign cmd_ready[QUEUE_MATRIX] = matrix_ready_i;
  assign retire[QUEUE_MATRIX]    = matrix_retire_i;
  assign vector_valid_o = cmd_valid[QUEUE_VECTOR];
  assign vector_cmd_o   = cmd[QUEUE_VECTOR].word;
  assign cmd_ready[QUEUE_VECTOR] = vector_ready_i;
  assign retire[QUEUE_VECTOR]    = vector_retire_i;
  logic unused_index;
  assign unused_index = ^{cmd[QUEUE_MATRIX].index, cmd[QUEUE_VECTOR].index};

  logic        [G.ports-1:0] load_valid, load_ready, load_idle;
  beat_write_t [G.ports-1:0] load_write;
  for (genvar p = 0; p < G.ports; p++) begin : g_load
    fqbert_load #(.G(G)) u_load (
      .clk_i, .rst_ni, .run_i(run), .window_i(window),
      .cmd_valid_i(cmd_valid[p]), .cmd_ready_o(cmd_ready[p]), .cmd_i(cmd[p]), .retire_o(retire[p]),
      .arvalid_o(load_arvalid_o[p]), .arready_i(load_arready_i[p]), .araddr_o(load_araddr_o[p]), .arlen_o(load_arlen_o[p]),
      .rvalid_i(load_rvalid_i[p]), .rready_o(load_rready_o[p]), .rdata_i(load_rdata_i[p]), .rresp_i(load_rresp_i[p]),
      .rlast_i(load_rlast_i[p]),
      .write_valid_o(load_valid[p]), .write_ready_i(load_ready[p]), .write_o(load_write[p]),
      .fault_valid_o(fault_valid[1+p]), .fault_o(faults[1+p]), .idle_o(load_idle[p])
    );
  end

  logic                 store_valid, store_ready, store_idle;
  memory_e              store_memory;
  logic [15:0]          store_address;
  logic [3:0]           store_slice;
  logic [BEAT_BITS-1:0] store_data;
  fqbert_store #(.G(G)) u_store (
    .clk_i, .rst_ni, .run_i(run), .window_i(window),
    .cmd_valid_i(cmd_valid[QUEUE_STORE]), .cmd_ready_o(cmd_ready[QUEUE_STORE]), .cmd_i(cmd[QUEUE_STORE]),
    .retire_o(retire[QUEUE_STORE]),
    .read_valid_o(store_valid), .read_ready_i(store_ready), .read_memory_o(store_memory),
    .read_address_o(store_address), .read_slice_o(store_slice), .read_data_i(store_data),
    .awvalid_o(ctl_awvalid_o), .awready_i(ctl_awready_i), .awaddr_o(ctl_awaddr_o), .awlen_o(ctl_awlen_o),
    .wvalid_o(ctl_wvalid_o), .wready_i(ctl_wready_i), .wdata_o(ctl_wdata_o), .wlast_o(ctl_wlast_o),
    .bvalid_i(ctl_bvalid_i), .bready_o(ctl_bready_o), .bresp_i(ctl_bresp_i),
    .fault_valid_o(fault_valid[SOURCES-2]), .fault_o(faults[SOURCES-2]), .idle_o(store_idle)
  );
  assign idle = fetch_idle && store_idle && &load_idle;

  fqbert_memories #(.G(G)) u_memories (
    .clk_i,
    .load_valid_i(load_valid), .load_ready_o(load_ready), .load_i(load_write),
    .store_valid_i(store_valid), .store_ready_o(store_ready), .store_memory_i(store_memory),
    .store_address_i(store_address), .store_slice_i(store_slice), .store_data_o(store_data),
    .matrix_act_ren_i, .matrix_act_raddr_i, .matrix_act_rdata_o, .matrix_prb_ren_i,
    .matrix_prb_raddr_i, .matrix_prb_rdata_o, .matrix_wgt_ren_i, .matrix_wgt_raddr_i,
    .matrix_wgt_rdata_o, .matrix_opd_ren_i, .matrix_opd_raddr_i, .matrix_opd_rdata_o,
    .matrix_par_ren_i, .matrix_par_raddr_i, .matrix_par_rdata_o, .matrix_act_wen_i,
    .matrix_act_waddr_i, .matrix_act_wdata_i, .matrix_act_wbe_i, .matrix_resb_wen_i,
    .matrix_resb_waddr_i, .matrix_resb_wdata_i, .matrix_scr_wen_i, .matrix_scr_waddr_i,
    .matrix_scr_wdata_i, .matrix_opd_wen_i, .matrix_opd_waddr_i, .matrix_opd_wdata_i,
    .matrix_opd_wbe_i, .vector_scr_ren_i, .vector_scr_raddr_i, .vector_scr_rdata_o,
    .vector_resx_ren_i, .vector_resx_raddr_i, .vector_resx_rdata_o, .vector_resb_ren_i,
    .vector_resb_raddr_i, .vector_resb_rdata_o, .vector_rng_ren_i, .vector_rng_raddr_i,
    .vector_rng_rdata_o, .vector_lnp_ren_i, .vector_lnp_raddr_i, .vector_lnp_rdata_o,
    .vector_prb_wen_i, .vector_prb_waddr_i, .vector_prb_wdata_i, .vector_prb_wbe_i,
    .vector_resx_wen_i, .vector_resx_waddr_i, .vector_resx_wdata_i, .vector_resx_wbe_i,
    .vector_act_wen_i, .vector_act_wready_o, .vector_act_waddr_i, .vector_act_wdata_i,
    .vector_act_wbe_i, .gel_wen_o, .exp_wen_o, .table_waddr_o,
    .table_wdata_o
  );

endmodule
