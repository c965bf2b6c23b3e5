// One engine's queue: holds dispatched instructions, starts them in order when their semaphores are
// up and the engine is free, and retires them in order, at most one a cycle. NOP and END never
// reach the engine; the counters of the unit live here.
module fqbert_queue
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
(
  input  logic              clk_i,
  // Low: empty, nothing starts, counters hold.
  input  logic              run_i,
  input  logic              clear_counters_i,

  input  logic              push_i,
  input  entry_t            entry_i,
  output logic              ready_o,

  output logic              cmd_valid_o,
  input  logic              cmd_ready_i,
  output entry_t            cmd_o,
  input  logic              retire_i,

  output logic [2:0][4:0]   wait_ids_o,
  input  logic              granted_i,
  output logic              take_o,

  output logic              raise_o,
  output logic [2:0][4:0]   raise_ids_o,
  output logic [15:0]       raise_index_o,

  // Every other queue is quiet, as END needs it.
  input  logic              others_quiet_i,
  // Nothing is queued, and what is in flight retires in this cycle.
  output logic              quiet_o,
  output logic              ended_o,

  output logic [31:0]       busy_o,
  output logic [31:0]       stall_o,
  output logic [31:0]       retired_o
);

  typedef struct packed {
    logic            local_;  // completes without the engine
    logic            ends;
    logic [2:0][4:0] raises;
    logic [15:0]     index;
  } flight_t;

  localparam int unsigned FLIGHTS = $clog2(IN_FLIGHT + 1);

  entry_t  head;
  header_t header;
  logic    head_valid, start;
  logic [$clog2(QUEUE_DEPTH+1)-1:0] unused_count;

  fqbert_fifo #(.WIDTH($bits(entry_t)), .DEPTH(QUEUE_DEPTH)) u_entries (
    .clk_i, .clear_i(!run_i),
    .push_i, .data_i(entry_i), .ready_o,
    .pop_i(start), .valid_o(head_valid), .data_o(head),
    .count_o(unused_count)
  );

  // Flags and layer are the engine's or for post-mortems; reserved bits have been checked.
  logic unused_header;
  assign unused_header = ^{header.reserved62, header.layer, header.flags};
  assign header = header_t'(head.word);

  flight_t            flight, oldest;
  logic               oldest_valid, in_flight_ready, pop;
  logic [FLIGHTS-1:0] in_flight;
  // Completions that the engine has reported and an older NOP holds up.
  logic [FLIGHTS-1:0] reported_q;

  logic is_nop, is_end, free, may_start, empties;
  assign is_nop = header.opcode == OPCODE_NOP;
  assign is_end = header.opcode == OPCODE_END;
  assign free      = cmd_ready_i && in_flight_ready;
  // What is in flight retires in this cycle.
  assign empties   = in_flight == '0 || (pop && in_flight == 1);
  assign may_start = granted_i && (!is_end || (others_quiet_i && empties));
  assign start     = head_valid && free && may_start;

  assign cmd_valid_o = head_valid && in_flight_ready && granted_i && !is_nop && !is_end;
  assign cmd_o       = head;
  assign wait_ids_o  = {header.wait2, header.wait1, header.wait0};
  assign take_o      = start;

  assign flight = '{
    local_: is_nop || is_end,
    ends: is_end,
    raises: {header.signal2, header.signal1, header.signal0},
    index: head.index
  };

  fqbert_fifo #(.WIDTH($bits(flight_t)), .DEPTH(IN_FLIGHT)) u_flights (
    .clk_i, .clear_i(!run_i),
    .push_i(start), .data_i(flight), .ready_o(in_flight_ready),
    .pop_i(pop), .valid_o(oldest_valid), .data_o(oldest),
    .count_o(in_flight)
  );

  assign pop = oldest_valid && (oldest.local_ || retire_i || reported_q != '0);
  assign raise_o       = pop;
  assign raise_ids_o   = oldest.raises;
  assign raise_index_o = oldest.index;
  assign ended_o       = pop && oldest.ends;
  assign quiet_o       = !head_valid && empties;

  always_ff @(posedge clk_i) begin
    if (!run_i) reported_q <= '0;
    else reported_q <= reported_q + FLIGHTS'(retire_i) - FLIGHTS'(pop && !oldest.local_);
  end

  fqbert_unit_counters u_counters (
    .clk_i, .run_i, .clear_i(clear_counters_i),
    .busy_i(2'(start || !cmd_ready_i)), .stall_i(head_valid && free && !may_start),
    .retired_i(pop),
    .busy_o, .stall_o, .retired_o
  );

endmodule
