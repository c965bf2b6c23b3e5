// Everything of the accelerator but the compute engines and the on-chip memories: registers,
// control, fetch, queues, semaphores, and LOAD and STORE with their AXI4 masters.
module fqbert_shell
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t   G = GEOMETRY_TINY,
  parameter int unsigned BUILD = 0
) (
  input  logic                        clk_i,
  // Synchronous.
  input  logic                        rst_ni,
  output logic                        irq_o,

  // Registers.
  input  axil_req_t                   axil_i,
  output axil_rsp_t                   axil_o,

  // Instructions.
  output axi_read_req_t               fetch_o,
  input  axi_read_rsp_t               fetch_i,
  // Results.
  output axi_write_req_t              store_o,
  input  axi_write_rsp_t              store_i,
  // LOAD, by read port.
  output axi_read_req_t [G.ports-1:0] load_o,
  input  axi_read_rsp_t [G.ports-1:0] load_i,

  // The engines. Their reset is low while no program runs.
  output logic                        engine_rst_no,
  output logic                        matrix_valid_o,
  input  logic                        matrix_ready_i,
  output instruction_t                matrix_cmd_o,
  input  logic                        matrix_retire_i,
  output logic                        vector_valid_o,
  input  logic                        vector_ready_i,
  output instruction_t                vector_cmd_o,
  input  logic                        vector_retire_i,

  // The on-chip memories: LOAD's beats by read port; STORE's, whose data is there two cycles later.
  output logic        [G.ports-1:0]   write_valid_o,
  input  logic        [G.ports-1:0]   write_ready_i,
  output beat_write_t [G.ports-1:0]   write_o,
  output logic                        read_valid_o,
  input  logic                        read_ready_i,
  output beat_read_t                  read_o,
  input  logic [BEAT_BITS-1:0]        read_data_i
);

  // ---- registers and control
  localparam int unsigned SOURCES = G.ports + 3;

  logic                       doorbell, reset_request, reset_done;
  logic [63:0]                program_address, cycles;
  logic [31:0]                program_length, runs_completed, runs_faulted;
  window_t                    window;
  logic                       run, start, clear, busy, done, faulted;
  logic                       doorbell_accepted, doorbell_ignored, done_event, fault_event;
  logic                       ended, idle;
  fault_t                     fault;
  logic   [SOURCES-1:0]       fault_valid;
  fault_t [SOURCES-1:0]       faults;
  logic [UNITS-1:0][31:0]     unit_busy, unit_stall, unit_retired;
  logic [SEMAPHORES-1:0][7:0] semaphores;

  fqbert_registers #(.G(G), .BUILD(BUILD)) u_registers (
    .clk_i, .rst_ni,
    .axil_i, .axil_o,
    .doorbell_o(doorbell), .reset_o(reset_request), .reset_done_i(reset_done),
    .program_address_o(program_address), .program_length_o(program_length), .window_o(window),
    .busy_i(busy), .done_i(done), .faulted_i(faulted),
    .doorbell_accepted_i(doorbell_accepted), .doorbell_ignored_i(doorbell_ignored),
    .done_event_i(done_event), .fault_event_i(fault_event), .fault_i(fault),
    .cycles_i(cycles), .runs_completed_i(runs_completed), .runs_faulted_i(runs_faulted),
    .unit_busy_i(unit_busy), .unit_stall_i(unit_stall),
    .unit_retired_i(unit_retired), .semaphores_i(semaphores),
    .irq_o
  );

  fqbert_control #(.SOURCES(SOURCES)) u_control (
    .clk_i, .rst_ni,
    .doorbell_i(doorbell), .reset_i(reset_request), .reset_done_o(reset_done),
    .ended_i(ended), .fault_valid_i(fault_valid), .fault_i(faults), .idle_i(idle),
    .run_o(run), .start_o(start), .clear_o(clear),
    .busy_o(busy), .done_o(done), .faulted_o(faulted),
    .doorbell_accepted_o(doorbell_accepted), .doorbell_ignored_o(doorbell_ignored),
    .done_event_o(done_event), .fault_event_o(fault_event), .fault_o(fault),
    .cycles_o(cycles), .runs_completed_o(runs_completed), .runs_faulted_o(runs_faulted)
  );

  always_ff @(posedge clk_i) engine_rst_no <= run && rst_ni;

  // ---- fetch, queues, semaphores
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
    .axi_o(fetch_o), .axi_i(fetch_i),
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
        .cmd_valid_o(cmd_valid[q]), .cmd_ready_i(cmd_ready[q]),
        .cmd_o(cmd[q]), .retire_i(retire[q]),
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
    .raise_i(raise), .raise_ids_i(raise_ids),
    .wait_ids_i(wait_ids), .granted_o(granted), .take_i(take),
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

  logic [G.ports-1:0] load_idle;
  for (genvar p = 0; p < G.ports; p++) begin : g_load
    fqbert_load #(.G(G)) u_load (
      .clk_i, .rst_ni, .run_i(run), .window_i(window),
      .cmd_valid_i(cmd_valid[p]), .cmd_ready_o(cmd_ready[p]), .cmd_i(cmd[p]), .retire_o(retire[p]),
      .axi_o(load_o[p]), .axi_i(load_i[p]),
      .write_valid_o(write_valid_o[p]), .write_ready_i(write_ready_i[p]), .write_o(write_o[p]),
      .fault_valid_o(fault_valid[1+p]), .fault_o(faults[1+p]), .idle_o(load_idle[p])
    );
  end

  logic store_idle;
  fqbert_store #(.G(G)) u_store (
    .clk_i, .rst_ni, .run_i(run), .window_i(window),
    .cmd_valid_i(cmd_valid[QUEUE_STORE]), .cmd_ready_o(cmd_ready[QUEUE_STORE]),
    .cmd_i(cmd[QUEUE_STORE]), .retire_o(retire[QUEUE_STORE]),
    .read_valid_o, .read_ready_i, .read_o, .read_data_i,
    .axi_o(store_o), .axi_i(store_i),
    .fault_valid_o(fault_valid[SOURCES-2]), .fault_o(faults[SOURCES-2]), .idle_o(store_idle)
  );
  assign idle = fetch_idle && store_idle && &load_idle;

endmodule
