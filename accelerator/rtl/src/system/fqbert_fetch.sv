// Reads the program in order, a few bursts ahead, and dispatches an instruction every second cycle
// to the queue of its engine, waiting while that is full. An instruction that the contract does not
// have, or a program that does not end, stops it with a fault.
module fqbert_fetch
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t G = GEOMETRY_TINY
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                run_i,
  input  logic                clear_counters_i,
  // In the first cycle of a run.
  input  logic                start_i,
  input  logic [63:0]         address_i,
  input  logic [31:0]         length_i,
  input  window_t             window_i,

  output axi_read_req_t       axi_o,
  input  axi_read_rsp_t       axi_i,

  output logic [QUEUES-1:0]   push_o,
  output entry_t              entry_o,
  input  logic [QUEUES-1:0]   queue_ready_i,

  output logic                fault_valid_o,
  output fault_t              fault_o,
  output logic                idle_o,

  output logic [31:0]         busy_o,
  output logic [31:0]         stall_o,
  output logic [31:0]         retired_o
);

  localparam int unsigned BURST = 16;
  localparam int unsigned AHEAD = 128;
  localparam int unsigned AHEADS = $clog2(AHEAD + 1);
  localparam logic [1:0] CYCLES = 2'd2; // per instruction: its beats

  // ---- the bursts
  logic               legal_length, refused, burst_ready, room, ar_last;
  logic [AHEADS-1:0]  reserved_q;  // beats asked for and not yet taken from the buffer
  logic [AHEADS-1:0]  open_q;      // bursts
  logic               pop;

  assign legal_length = length_i != '0 && length_i <= 32'(PROGRAM_MAX);
  // A burst whose address is valid is not yet counted: room for it and the next.
  assign room = 32'(reserved_q) + 2 * BURST <= AHEAD;

  fqbert_burst #(.MAX_BEATS(BURST)) u_burst (
    .clk_i, .rst_ni, .run_i, .window_i,
    .start_i(start_i && legal_length && address_i[4:0] == '0), .ready_o(burst_ready),
    .address_i, .beats_i({length_i[22:0], 1'b0}),
    .room_i(room),
    .ax_valid_o(axi_o.ar_valid), .ax_ready_i(axi_i.ar_ready), .ax_o(axi_o.ar), .ax_last_o(ar_last),
    .refused_o(refused)
  );
  logic unused_burst;
  assign unused_burst = ^{burst_ready, ar_last};

  logic asked, ended;
  assign asked = axi_o.ar_valid && axi_i.ar_ready;
  assign ended = axi_i.r_valid && axi_o.r_ready && axi_i.r.last;
  assign axi_o.r_ready = 1'b1;
  assign idle_o = !axi_o.ar_valid && open_q == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) open_q <= '0;
    else open_q <= open_q + AHEADS'(asked) - AHEADS'(ended);
    if (!run_i) reserved_q <= '0;
    else reserved_q <= reserved_q + (asked ? AHEADS'(axi_o.ar.len) + 1'b1 : '0) - AHEADS'(pop);
  end

  // ---- beats to instructions
  logic                 beat_valid, high_q, advance, complete, buffer_ready;
  logic [AHEADS-1:0]    buffered;
  logic [BEAT_BITS-1:0] beat, low_q;
  logic [16:0]          index_q;
  logic                 error;

  assign error = axi_i.r_valid && axi_i.r.resp[1] && run_i;

  fqbert_fifo #(.WIDTH(BEAT_BITS), .DEPTH(AHEAD)) u_buffer (
    .clk_i, .clear_i(!run_i),
    .push_i(axi_i.r_valid && run_i), .data_i(axi_i.r.data), .ready_o(buffer_ready),
    .pop_i(pop), .valid_o(beat_valid), .data_o(beat), .count_o(buffered)
  );
  logic unused_buffer;
  assign unused_buffer = ^{buffer_ready, buffered, axi_i.r.resp[0]};

  assign pop      = beat_valid && advance && run_i;
  assign complete = pop && high_q;

  always_ff @(posedge clk_i) begin
    if (!run_i) begin
      high_q  <= 1'b0;
      index_q <= '0;
    end else if (pop) begin
      high_q  <= !high_q;
      index_q <= index_q + 17'(high_q);
    end
    if (pop) low_q <= beat;
  end

  // ---- check and dispatch
  logic       valid, stalled;
  logic [2:0] queue;
  fault_e     cause;
  entry_t     assembled;
  assign assembled = '{index: index_q[15:0], word: {beat, low_q}};

  fqbert_decode #(.G(G)) u_decode (
    .clk_i, .clear_i(!run_i), .advance_i(advance),
    .valid_i(complete), .entry_i(assembled), .last_i(32'(index_q) + 1 == length_i),
    .valid_o(valid), .entry_o, .queue_o(queue), .cause_o(cause)
  );

  assign stalled = valid && cause == FAULT_NONE && !queue_ready_i[queue];
  assign advance = !stalled;
  always_comb begin
    push_o = '0;
    push_o[queue] = valid && run_i && cause == FAULT_NONE && queue_ready_i[queue];
  end

  logic illegal;
  assign illegal = valid && cause != FAULT_NONE;
  always_comb begin
    fault_valid_o = 1'b1;
    fault_o = '{cause: FAULT_NONE, index: '0, address: '0};
    if (start_i && !legal_length) begin
      fault_o.cause = FAULT_NO_END;
    end else if (refused || (start_i && address_i[4:0] != '0)) begin
      fault_o.cause   = FAULT_WINDOW;
      fault_o.address = address_i;
    end else if (error) begin
      fault_o.cause   = response_cause(axi_i.r.resp);
      fault_o.address = address_i;
    end else if (illegal) begin
      fault_o.cause = cause;
      fault_o.index = 17'(entry_o.index) + 17'(cause == FAULT_NO_END);
    end else begin
      fault_valid_o = 1'b0;
    end
  end

  logic pushed;
  assign pushed = push_o != '0;
  fqbert_unit_counters u_counters (
    .clk_i, .run_i, .clear_i(clear_counters_i),
    .busy_i(pushed ? CYCLES : 2'd0), .stall_i(stalled), .retired_i(pushed),
    .busy_o, .stall_o, .retired_o
  );

endmodule
