// The engine of one LOAD queue: reads transfers from its AXI4 port, several bursts ahead, and
// writes beat by beat into on-chip memories. It is occupied for its beats and the start; completion
// follows the last beat's write.
module fqbert_load
  import fqbert_pkg::*;
  import fqbert_axi_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter geometry_t G = GEOMETRY_TINY
) (
  input  logic          clk_i,
  input  logic          rst_ni,
  // Low: no burst begins any more, open ones end, then everything is forgotten.
  input  logic          run_i,
  input  window_t       window_i,

  input  logic          cmd_valid_i,
  output logic          cmd_ready_o,
  input  entry_t        cmd_i,
  output logic          retire_o,

  output axi_read_req_t axi_o,
  input  axi_read_rsp_t axi_i,

  output logic          write_valid_o,
  input  logic          write_ready_i,
  output beat_write_t   write_o,

  output logic          fault_valid_o,
  output fault_t        fault_o,
  output logic          idle_o
);

  localparam int unsigned OPEN = $clog2(OPEN_BURSTS + 1);
  localparam int unsigned TRANSFERS = $clog2(IN_FLIGHT + 1);
  localparam logic [3:0] LAST_ACT = 4'(word_beats(G, MEMORY_ACT) - 1);
  localparam logic [3:0] LAST_RESX = 4'(word_beats(G, MEMORY_RESX) - 1);
  localparam logic [3:0] LAST_WGT = 4'(word_beats(G, MEMORY_WGT0) - 1);

  typedef struct packed {
    logic [15:0] index;
    memory_e     memory;
    logic [15:0] word_offset;
    logic [23:0] beats;
    logic [63:0] address;
  } transfer_t;

  load_t     cmd;
  transfer_t accepted, head;
  logic      accept, clear;
  assign cmd = load_t'(cmd_i.word);
  logic unused_cmd;
  assign unused_cmd = ^cmd;
  assign accepted = '{
    index: cmd_i.index,
    memory: memory_e'(cmd.memory),
    word_offset: cmd.word_offset,
    beats: cmd.beats,
    address: cmd.address
  };

  // ---- addresses
  logic            burst_ready, refused, room, ar_last;
  logic [OPEN-1:0] open_q;
  logic            asked, ended;

  assign room = open_q < OPEN'(OPEN_BURSTS - 1);
  fqbert_burst u_burst (
    .clk_i, .rst_ni, .run_i, .window_i,
    .start_i(accept), .ready_o(burst_ready), .address_i(cmd.address), .beats_i(cmd.beats),
    .room_i(room),
    .ax_valid_o(axi_o.ar_valid), .ax_ready_i(axi_i.ar_ready), .ax_o(axi_o.ar), .ax_last_o(ar_last),
    .refused_o(refused)
  );
  logic unused_last;
  assign unused_last = ar_last;

  assign asked = axi_o.ar_valid && axi_i.ar_ready;
  assign ended = axi_i.r_valid && axi_o.r_ready && axi_i.r.last;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) open_q <= '0;
    else open_q <= open_q + OPEN'(asked) - OPEN'(ended);
  end

  // ---- occupation
  logic                 free, transfers_ready, head_valid, finished;
  logic [TRANSFERS-1:0] unused_count;

  assign cmd_ready_o = run_i && free && burst_ready && transfers_ready;
  assign accept = cmd_valid_i && cmd_ready_o;
  fqbert_occupation u_occupation (
    .clk_i, .run_i, .start_i(accept), .beats_i(cmd.beats), .free_o(free)
  );

  fqbert_fifo #(.WIDTH($bits(transfer_t)), .DEPTH(IN_FLIGHT)) u_transfers (
    .clk_i, .clear_i(clear),
    .push_i(accept), .data_i(accepted), .ready_o(transfers_ready),
    .pop_i(finished), .valid_o(head_valid), .data_o(head), .count_o(unused_count)
  );

  // ---- beats
  logic [23:0] beat_q;
  logic [15:0] word_q;
  logic [3:0]  slice_q;
  logic        beat_taken, last_slice, last_q;

  assign axi_o.r_ready = !write_valid_o || write_ready_i;
  assign beat_taken = axi_i.r_valid && axi_o.r_ready && head_valid;
  assign finished   = beat_taken && beat_q == head.beats - 24'd1;
  always_comb begin
    case (head.memory)
      MEMORY_ACT: last_slice = slice_q == LAST_ACT;
      MEMORY_RESX: last_slice = slice_q == LAST_RESX;
      MEMORY_WGT0, MEMORY_WGT1, MEMORY_WGT2, MEMORY_WGT3: last_slice = slice_q == LAST_WGT;
      default: last_slice = 1'b1;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear) begin
      beat_q  <= '0;
      word_q  <= '0;
      slice_q <= '0;
    end else if (beat_taken) begin
      beat_q  <= finished ? '0 : beat_q + 24'd1;
      word_q  <= finished ? '0 : word_q + 16'(last_slice);
      slice_q <= last_slice ? '0 : slice_q + 4'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_valid_o <= 1'b0;
      retire_o      <= 1'b0;
    end else begin
      if (beat_taken) write_valid_o <= 1'b1;
      else if (write_ready_i) write_valid_o <= 1'b0;
      retire_o <= write_valid_o && write_ready_i && last_q && run_i;
    end
    if (beat_taken) begin
      write_o <= '{
        memory: head.memory,
        address: head.word_offset + word_q,
        slice: slice_q,
        data: axi_i.r.data
      };
      last_q  <= finished;
    end
  end

  assign idle_o = !axi_o.ar_valid && open_q == '0 && !write_valid_o;
  assign clear  = !run_i && idle_o;

  // ---- faults
  // The address of a refused transfer is still on the way into the burst unit's registers: it is
  // kept here.
  transfer_t newest_q;
  always_ff @(posedge clk_i) begin
    if (accept) newest_q <= accepted;
  end
  logic unused_newest;
  assign unused_newest = ^{
    newest_q.memory, newest_q.word_offset, newest_q.beats, axi_i.r.resp[0]
  };

  always_comb begin
    fault_valid_o = 1'b1;
    if (beat_taken && axi_i.r.resp[1]) begin
      fault_o = '{
        cause: response_cause(axi_i.r.resp),
        index: 17'(head.index),
        address: head.address
      };
    end else begin
      fault_valid_o = refused;
      fault_o = '{cause: FAULT_WINDOW, index: 17'(newest_q.index), address: newest_q.address};
    end
  end

endmodule
