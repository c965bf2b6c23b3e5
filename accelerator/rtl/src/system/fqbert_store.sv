// The STORE engine: reads ACT or RESX beat by beat and writes DDR in bursts, whose responses
// complete the instruction. It reads a word once for each of its beats, so that no word is ever
// held; a beat costs the port one cycle either way.
module fqbert_store
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t G = GEOMETRY_TINY
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // Low: no burst begins any more, open ones end with their data, then everything is forgotten.
  input  logic                 run_i,
  input  window_t              window_i,

  input  logic                 cmd_valid_i,
  output logic                 cmd_ready_o,
  input  entry_t               cmd_i,
  output logic                 retire_o,

  // Reads of on-chip memory: taken when ready, data two cycles later.
  output logic                 read_valid_o,
  input  logic                 read_ready_i,
  output beat_read_t           read_o,
  input  logic [BEAT_BITS-1:0] read_data_i,

  output axi_write_req_t       axi_o,
  input  axi_write_rsp_t       axi_i,

  output logic                 fault_valid_o,
  output fault_t               fault_o,
  output logic                 idle_o
);

  localparam int unsigned BUFFER = 8;
  localparam int unsigned BUFFERED = $clog2(BUFFER + 1);
  localparam int unsigned OPEN = $clog2(OPEN_BURSTS + 1);
  localparam int unsigned READ_CYCLES = 2;
  localparam logic [3:0] LAST_ACT = 4'(word_beats(G, MEMORY_ACT) - 1);
  localparam logic [3:0] LAST_RESX = 4'(word_beats(G, MEMORY_RESX) - 1);

  typedef struct packed {
    logic [15:0] index;
    logic [63:0] address;
  } transfer_t;

  typedef struct packed {
    logic      last;
    transfer_t transfer;
  } burst_t;

  store_t    cmd;
  transfer_t current_q;   // the transfer whose bursts are being issued
  logic      accept, clear;
  assign cmd = store_t'(cmd_i.word);
  logic unused_cmd;
  assign unused_cmd = ^cmd;

  // ---- addresses
  logic            burst_ready, refused, aw_last, asked, responded, room;
  logic [OPEN-1:0] open, lengths_count;
  logic            lengths_ready, bursts_ready, length_valid, response_valid;
  logic [7:0]      length;
  logic            burst_sent;
  burst_t          burst, answered;

  assign room = open < OPEN'(OPEN_BURSTS - 1);
  fqbert_burst u_burst (
    .clk_i, .rst_ni, .run_i, .window_i,
    .start_i(accept), .ready_o(burst_ready), .address_i(cmd.address), .beats_i(cmd.beats),
    .room_i(room),
    .ax_valid_o(axi_o.aw_valid), .ax_ready_i(axi_i.aw_ready), .ax_o(axi_o.aw), .ax_last_o(aw_last),
    .refused_o(refused)
  );
  assign asked = axi_o.aw_valid && axi_i.aw_ready;

  // A burst's address may wait for its taker while the next transfer is accepted: what it belongs
  // to goes with it.
  transfer_t issued_q;
  always_ff @(posedge clk_i) begin
    if (accept) current_q <= '{index: cmd_i.index, address: cmd.address};
    if (!axi_o.aw_valid || axi_i.aw_ready) issued_q <= current_q;
  end
  assign burst = '{last: aw_last, transfer: issued_q};

  // Bursts whose data has not all been sent, and bursts without a response.
  fqbert_fifo #(.WIDTH(8), .DEPTH(OPEN_BURSTS)) u_lengths (
    .clk_i, .clear_i(!rst_ni),
    .push_i(asked), .data_i(axi_o.aw.len), .ready_o(lengths_ready),
    .pop_i(burst_sent), .valid_o(length_valid), .data_o(length), .count_o(lengths_count)
  );
  fqbert_fifo #(.WIDTH($bits(burst_t)), .DEPTH(OPEN_BURSTS)) u_bursts (
    .clk_i, .clear_i(!rst_ni),
    .push_i(asked), .data_i(burst), .ready_o(bursts_ready),
    .pop_i(responded), .valid_o(response_valid), .data_o(answered), .count_o(open)
  );
  logic unused_counts;
  assign unused_counts = ^{lengths_count, lengths_ready, bursts_ready, axi_i.b_resp[0]};

  // ---- occupation
  logic free, reading_q;
  assign cmd_ready_o = run_i && free && burst_ready && !reading_q;
  assign accept = cmd_valid_i && cmd_ready_o;
  fqbert_occupation u_occupation (
    .clk_i, .run_i, .start_i(accept), .beats_i(cmd.beats), .free_o(free)
  );

  // ---- reads
  memory_e     memory_q;
  logic [15:0] word_q;
  logic [3:0]  slice_q;
  logic [23:0] left_q;
  logic        read, last_slice;
  logic [READ_CYCLES-1:0] reads_q;
  logic [BUFFERED-1:0]    buffered;
  logic        buffer_ready;

  assign read_valid_o = reading_q && 32'(buffered) + 32'(reads_q[0]) + 32'(reads_q[1]) < BUFFER;
  assign read_o = '{memory: memory_q, address: word_q, slice: slice_q};
  assign read   = read_valid_o && read_ready_i;
  assign last_slice = slice_q == (memory_q == MEMORY_ACT ? LAST_ACT : LAST_RESX);

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear) begin
      reading_q <= 1'b0;
      reads_q   <= '0;
    end else begin
      if (accept) reading_q <= 1'b1;
      else if (read && left_q == 24'd1) reading_q <= 1'b0;
      reads_q <= {reads_q[READ_CYCLES-2:0], read};
    end
    if (accept) begin
      memory_q <= memory_e'(cmd.memory);
      word_q   <= cmd.word_offset;
      slice_q  <= '0;
      left_q   <= cmd.beats;
    end else if (read) begin
      word_q  <= word_q + 16'(last_slice);
      slice_q <= last_slice ? '0 : slice_q + 4'd1;
      left_q  <= left_q - 24'd1;
    end
  end

  // ---- data
  logic       beat_valid, sent;
  logic [7:0] sent_q;
  fqbert_fifo #(.WIDTH(BEAT_BITS), .DEPTH(BUFFER)) u_beats (
    .clk_i, .clear_i(!rst_ni || clear),
    .push_i(reads_q[READ_CYCLES-1]), .data_i(read_data_i), .ready_o(buffer_ready),
    .pop_i(sent), .valid_o(beat_valid), .data_o(axi_o.w.data), .count_o(buffered)
  );
  logic unused_ready;
  assign unused_ready = buffer_ready;

  assign axi_o.w_valid = beat_valid && length_valid;
  assign axi_o.w.last  = sent_q == length;
  assign sent       = axi_o.w_valid && axi_i.w_ready;
  assign burst_sent = sent && axi_o.w.last;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) sent_q <= '0;
    else if (sent) sent_q <= axi_o.w.last ? '0 : sent_q + 8'd1;
  end

  // ---- responses
  assign axi_o.b_ready = response_valid;
  assign responded = axi_i.b_valid && axi_o.b_ready;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) retire_o <= 1'b0;
    else retire_o <= responded && answered.last && run_i;
  end

  assign idle_o = !axi_o.aw_valid && !response_valid && !length_valid;
  assign clear  = !run_i && idle_o;

  always_comb begin
    fault_valid_o = 1'b1;
    if (responded && axi_i.b_resp[1]) begin
      fault_o = '{
        cause: response_cause(axi_i.b_resp),
        index: 17'(answered.transfer.index),
        address: answered.transfer.address
      };
    end else begin
      fault_valid_o = refused;
      fault_o = '{cause: FAULT_WINDOW, index: 17'(current_q.index), address: current_q.address};
    end
  end

endmodule
