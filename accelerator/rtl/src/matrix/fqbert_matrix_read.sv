// Takes MATMUL instructions and reads their operands: for each column tile, for each row tile, one
// chunk of L terms a cycle, in a slot of max(k_chunks, drain) cycles that ends with the last chunk.
// A slot is never so short that the drain of the tile before it, of the same or an earlier
// instruction, would lose the shadow: the first slot of an instruction is lengthened if it must be.
module fqbert_matrix_read
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic                     cmd_valid_i,
  output logic                     cmd_ready_o, // valid and ready: the instruction starts
  input  fqbert_pkg::matmul_t      cmd_i,

  output logic                     context_valid_o, // the cycle after the start
  output context_t                 context_o,

  output logic                     ren_o, // with all of the below
  output logic [15:0]              a_addr_o,
  output logic [15:0]              b_addr_o,
  output source_t                  source_o,
  output logic                     first_o, // first chunk of a part
  output part_t                    part_o   // valid with the last chunk of a part
);

  localparam int unsigned GROUPS = ROWS / operand_tokens(ROWS, PAIRS, LANES);
  // Parts are of half the length that is exact, but for the first, which is up to one chunk short
  // of all of it: so no part is shorter than a drain, whatever k_chunks is.
  localparam int unsigned PART4 = PART_TERMS_8X4 / LANES / 2;
  localparam int unsigned PART8 = PART_TERMS_8X8 / LANES / 2;
  localparam int unsigned CHUNKS = 10; // bits of a count of chunks, up to 512

  typedef logic [CHUNKS-1:0] count_t;

  typedef enum logic [1:0] {IDLE, SETUP, RUN} state_e;
  state_e              state_q;
  fqbert_pkg::matmul_t cmd_q;

  // What a slot takes.
  logic   operand;
  count_t chunks, drain, slot, first_slot, busy_q;
  assign operand = cmd_q.dest == fqbert_pkg::MATMUL_DEST_KEYS
                || cmd_q.dest == fqbert_pkg::MATMUL_DEST_VALUES;
  assign chunks  = count_t'(cmd_q.k_chunks);
  always_comb begin
    unique case ({cmd_q.mode8, operand})
      2'b00:   drain = count_t'(drain_cycles(PAIRS, GROUPS, 1'b0, 1'b0));
      2'b01:   drain = count_t'(drain_cycles(PAIRS, GROUPS, 1'b0, 1'b1));
      2'b10:   drain = count_t'(drain_cycles(PAIRS, GROUPS, 1'b1, 1'b0));
      default: drain = count_t'(drain_cycles(PAIRS, GROUPS, 1'b1, 1'b1));
    endcase
  end
  assign slot = chunks > drain ? chunks : drain;
  // busy_q counts down from the drain of the instruction before, from the end of its last slot;
  // this cycle is one of it, and the slot begins with the next.
  assign first_slot = (busy_q > slot + 1'b1) ? busy_q - 1'b1 : slot;

  // The walk.
  count_t      idle_q, left_q, part_q;
  logic [15:0] a_row_q, a_addr_q, b_column_q, b_addr_q;
  logic [7:0]  rows_q, columns_q;
  logic        part_first_q, cmd_first_q, first_q;

  logic   chunk, tile_end, row_last, column_last, cut;
  count_t rest, half;
  assign chunk       = state_q == RUN && idle_q == '0;
  assign rest        = left_q - 1'b1;
  assign tile_end    = rest == '0;
  assign row_last    = rows_q == 8'd1;
  assign column_last = columns_q == 8'd1;
  assign half        = cmd_q.mode8 ? count_t'(PART8) : count_t'(PART4);
  // A part ends where a whole number of halves is left, once the part has a half itself.
  assign cut = tile_end || ((rest & (half - 1'b1)) == '0 && part_q >= half - 1'b1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= IDLE;
      busy_q  <= '0;
    end else begin
      if (busy_q != '0) busy_q <= busy_q - 1'b1;
      unique case (state_q)
        IDLE:    if (cmd_valid_i) state_q <= SETUP;
        SETUP:   state_q <= RUN;
        default: begin
          if (chunk && tile_end && row_last && column_last) begin
            state_q <= IDLE;
            busy_q  <= drain;
          end
        end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == IDLE && cmd_valid_i) cmd_q <= cmd_i;
    if (state_q == SETUP) begin
      idle_q       <= first_slot - chunks;
      left_q       <= chunks;
      part_q       <= '0;
      a_row_q      <= cmd_q.a_base;
      a_addr_q     <= cmd_q.a_base;
      b_column_q   <= cmd_q.b_base;
      b_addr_q     <= cmd_q.b_base;
      rows_q       <= cmd_q.row_tiles;
      columns_q    <= cmd_q.col_tiles;
      first_q      <= 1'b1;
      part_first_q <= 1'b1;
      cmd_first_q  <= 1'b1;
    end else if (!chunk) begin
      idle_q <= idle_q - 1'b1;
    end else begin
      a_addr_q <= a_addr_q + 1'b1;
      b_addr_q <= b_addr_q + 1'b1;
      left_q   <= rest;
      first_q  <= cut;
      part_q   <= cut ? '0 : part_q + 1'b1;
      if (cut) begin
        part_first_q <= tile_end;
        cmd_first_q  <= 1'b0;
      end
      if (tile_end) begin
        idle_q    <= slot - chunks;
        left_q    <= chunks;
        rows_q    <= row_last ? cmd_q.row_tiles : rows_q - 1'b1;
        columns_q <= row_last ? columns_q - 1'b1 : columns_q;
        if (row_last) begin
          a_row_q    <= cmd_q.a_base;
          a_addr_q   <= cmd_q.a_base;
          b_column_q <= b_column_q + cmd_q.b_stride;
          b_addr_q   <= b_column_q + cmd_q.b_stride;
        end else begin
          a_row_q  <= a_row_q + cmd_q.a_stride;
          a_addr_q <= a_row_q + cmd_q.a_stride;
          b_addr_q <= b_column_q;
        end
      end
    end
  end

  assign cmd_ready_o = state_q == IDLE;
  assign ren_o       = chunk;
  assign a_addr_o    = a_addr_q;
  assign b_addr_o    = b_addr_q;
  assign source_o    = '{
    a_probs: cmd_q.a_probs, b_opd: cmd_q.b_opd, b_slot: cmd_q.b_slot, mode8: cmd_q.mode8
  };
  assign first_o     = first_q;
  assign part_o      = '{
    valid:      chunk && cut,
    part_first: part_first_q,
    part_last:  tile_end,
    cmd_first:  cmd_first_q,
    cmd_last:   tile_end && row_last && column_last,
    rows_last:  row_last
  };

  assign context_valid_o = state_q == SETUP;
  assign context_o = '{
    mode8:       cmd_q.mode8,
    dest:        fqbert_pkg::matmul_dest_e'(cmd_q.dest),
    gelu:        cmd_q.gelu,
    table_:      cmd_q.table_,
    uniform:     cmd_q.uniform,
    channels:    cmd_q.channels,
    dst_channel: cmd_q.dst_channel,
    dst_base:    cmd_q.dst_base,
    dst_stride:  cmd_q.dst_stride,
    par_base:    cmd_q.par_base,
    head_dim:    cmd_q.head_dim,
    row_tile0:   cmd_q.row_tile0
  };

  // The header was the queue's business.
  logic unused_header;
  assign unused_header = ^{
    cmd_q.reserved62, cmd_q.signal2, cmd_q.signal1, cmd_q.signal0,
    cmd_q.wait2, cmd_q.wait1, cmd_q.wait0, cmd_q.layer, cmd_q.reserved19, cmd_q.opcode,
    cmd_q.k_chunks[15:CHUNKS]
  };

  if (PART8 < drain_cycles(PAIRS, GROUPS, 1'b1, 1'b1)
      || PART4 < drain_cycles(PAIRS, GROUPS, 1'b0, 1'b1)) begin : gen_short
    $error("a part must not be shorter than a drain");
  end
  if ((LANES & (LANES - 1)) != 0 || (ROWS & (ROWS - 1)) != 0
      || PAIRS % 2 != 0 || LANES < 2) begin : gen_shape
    $error("rows and lanes are powers of two, pairs even");
  end

endmodule
