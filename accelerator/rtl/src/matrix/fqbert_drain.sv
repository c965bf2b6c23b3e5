// Walks a finished tile two channels a cycle and says where each step goes. Rows and columns of
// tiles advance as the parts arrive, so every address is a sum of the one before.
module fqbert_drain
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  part_t       part_i,    // the cycle before its sums are captured
  input  context_t    context_i, // of the next instruction to drain
  input  key_place_t  key_i,
  output logic        pop_o,

  output logic        par_ren_o, // the cycle before its step
  output logic [15:0] par_addr_o,
  output step_t       step_o     // valid from the first cycle in which the shadow holds the part
);

  import fqbert_pkg::*;

  localparam int unsigned TOKENS = operand_tokens(ROWS, PAIRS, LANES);
  localparam int unsigned GROUPS = ROWS / TOKENS;
  localparam int unsigned ROW_BITS = $clog2(ROWS);

  // Position along the output channels; the last three are those of values.
  typedef struct packed {
    logic [15:0] output_;  // output channel of the instruction
    logic [15:0] channel;  // channel of the destination
    logic [7:0]  d;        // channel of the head
    logic [7:0]  slot;     // pair that it is in
    logic [15:0] tile;     // word of its channel tile
  } channel_t;

  // Position along the tokens.
  typedef struct packed {
    logic [15:0] word;     // ACT, RESB, SCR: first word of the row tile
    logic [8:0]  tile;     // row tile of the sequence
    key_place_t  key;      // keys: place of its first token
  } row_t;

  context_t    context_q;
  part_t       part_q;
  logic        active_q;
  logic [7:0]  column_q, group_q;
  channel_t    column_start_q, channel_q;
  row_t        row_q;
  key_place_t  origin_q, group_key_q;

  // One step: the next group of the same channels, or the first of the next two.
  logic [7:0]  columns, groups;
  logic        operand, group_last, step_last;
  assign operand    = context_q.dest == MATMUL_DEST_KEYS || context_q.dest == MATMUL_DEST_VALUES;
  assign columns    = 8'(context_q.mode8 ? PAIRS / 2 : PAIRS);
  assign groups     = (operand && part_q.part_last) ? 8'(GROUPS) : 8'd1;
  assign group_last = group_q == groups - 8'd1;
  assign step_last  = group_last && column_q == columns - 8'd1;

  function automatic channel_t next_channels(
    channel_t c, logic [7:0] head_dim, logic [15:0] stride
  );
    channel_t n;
    n.output_ = c.output_ + 16'd2;
    n.channel = c.channel + 16'd2;
    n.d       = c.d + 8'd2;
    n.slot    = c.slot + 8'd2;
    n.tile    = c.tile;
    if (n.d == head_dim) begin
      n.d    = '0;
      n.slot = '0;
      n.tile = c.tile + stride;
    end else if (n.slot == 8'(PAIRS)) begin
      n.slot = '0;
      n.tile = c.tile + stride;
    end
    return n;
  endfunction

  // `count` tokens further, of which `whole` * PAIRS fill key tiles.
  function automatic key_place_t next_key(key_place_t k, int unsigned count, logic [15:0] stride);
    key_place_t n;
    n.word = k.word;
    for (int unsigned i = 0; i < count / PAIRS; i++) n.word = n.word + stride;
    n.pair = k.pair + 8'(count % PAIRS);
    if (n.pair >= 8'(PAIRS)) begin
      n.pair = n.pair - 8'(PAIRS);
      n.word = n.word + stride;
    end
    return n;
  endfunction

  channel_t channel_after;
  assign channel_after = (active_q && group_last)
      ? next_channels(channel_q, context_q.head_dim, context_q.dst_stride) : channel_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) active_q <= 1'b0;
    else if (part_i.valid) active_q <= 1'b1;
    else if (step_last) active_q <= 1'b0;
  end

  channel_t channel_first;
  assign channel_first = '{
    output_: '0,
    channel: context_i.dst_channel,
    d:       context_i.dst_channel[7:0],
    slot:    context_i.dst_channel[15:8],
    tile:    context_i.dst_base
  };

  always_ff @(posedge clk_i) begin
    if (active_q) begin
      group_q     <= group_last ? '0 : group_q + 8'd1;
      group_key_q <= group_last ? row_q.key : next_key(group_key_q, TOKENS, context_q.dst_stride);
      if (group_last) column_q <= column_q + 8'd1;
      channel_q <= channel_after;
    end
    if (part_i.valid) begin
      part_q   <= part_i;
      column_q <= '0;
      group_q  <= '0;
      if (part_i.cmd_first) begin
        context_q      <= context_i;
        column_start_q <= channel_first;
        channel_q      <= channel_first;
        row_q          <= '{word: context_i.dst_base, tile: 9'(context_i.row_tile0), key: key_i};
        origin_q       <= key_i;
        group_key_q    <= key_i;
      end else if (part_i.part_first && part_q.rows_last) begin
        column_start_q <= channel_after;
        channel_q      <= channel_after;
        row_q          <= '{word: context_q.dst_base, tile: 9'(context_q.row_tile0), key: origin_q};
        group_key_q    <= origin_q;
      end else begin
        channel_q <= column_start_q;
        if (part_i.part_first) begin
          row_q.word  <= row_q.word + context_q.dst_stride;
          row_q.tile  <= row_q.tile + 9'd1;
          row_q.key   <= next_key(row_q.key, ROWS, context_q.dst_stride);
          group_key_q <= next_key(row_q.key, ROWS, context_q.dst_stride);
        end else begin
          group_key_q <= row_q.key;
        end
      end
    end
  end

  assign pop_o = part_i.valid && part_i.cmd_first;

  logic exists;
  assign exists     = channel_q.output_ < context_q.channels;
  assign par_ren_o  = active_q && exists;
  assign par_addr_o = context_q.uniform ? context_q.par_base
                                        : context_q.par_base + {1'b0, channel_q.output_[15:1]};

  step_t step;
  always_comb begin
    step            = '0;
    step.valid      = active_q;
    step.part_first = part_q.part_first;
    step.part_last  = part_q.part_last;
    step.mode8      = context_q.mode8;
    step.uniform    = context_q.uniform;
    step.column     = column_q;
    step.write      = active_q && part_q.part_last && exists;
    step.dest       = context_q.dest;
    step.gelu       = context_q.gelu;
    step.table_     = context_q.table_;
    step.group      = group_q;
    step.position   = channel_q.channel;
    step.last       = active_q && part_q.cmd_last && step_last;
    unique case (context_q.dest)
      MATMUL_DEST_KEYS: begin
        step.word      = group_key_q.word;
        step.word_next = group_key_q.word + context_q.dst_stride;
        step.pair      = group_key_q.pair;
      end
      MATMUL_DEST_VALUES: begin
        step.word     = channel_q.tile;
        step.pair     = channel_q.slot;
        step.position = 16'({row_q.tile, ROW_BITS'(0)}) + (16'(group_q) << $clog2(TOKENS));
      end
      default: step.word = row_q.word;
    endcase
  end

  always_ff @(posedge clk_i) begin
    step_o <= step;
    if (!rst_ni) begin
      step_o.valid <= 1'b0;
      step_o.write <= 1'b0;
      step_o.last  <= 1'b0;
    end
  end

  logic unused_fields;
  assign unused_fields = ^{context_q, part_q};

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    assert (!(rst_ni && active_q && part_i.valid && !step_last))
    else $fatal(1, "a part arrives before the last is drained");
  end
`endif

endmodule
