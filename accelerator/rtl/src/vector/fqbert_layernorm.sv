// Layer-norm core: residual add and statistics in one pass over R rows, normalisation in a second,
// CHANNELS channels a cycle; the passes work on two row tiles at once. A pass takes N / CHANNELS +
// R + 24 cycles and hands its tile on through a line buffer.
//
// An instruction starts with start_i, allowed while ready_o is high; its first pass begins two
// cycles later. A tile waits at the end of its first pass while the second still works on the tile
// before: behind an instruction of more channels, or where writes to ACT were held up for longer
// than a pass has cycles to spare.
module fqbert_layernorm
  import fqbert_memory_pkg::access_t;
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS       = 4,
  parameter int unsigned LANES      = 8,
  parameter int unsigned CHANNELS   = 1,
  parameter int unsigned MAX_HIDDEN = 1024
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,

  input  logic                    start_i,
  input  fqbert_pkg::layernorm_t  cmd_i,
  output logic                    ready_o,
  output logic                    done_o,   // the last cycle of an instruction

  output access_t                 resx_read_o,
  input  logic [ROWS*32-1:0]      resx_rdata_i,
  output access_t                 resb_read_o,
  input  logic [ROWS*32-1:0]      resb_rdata_i,
  output access_t                 lnp_read_o,
  input  logic [127:0]            lnp_rdata_i,

  output access_t                 resx_write_o,
  output logic [ROWS*32-1:0]      resx_wdata_o,
  output access_t                 act_write_o,
  input  logic                    act_wready_i,
  output logic [ROWS*LANES*8-1:0] act_wdata_o
);

  // A group: the channels that are worked on in one cycle.
  localparam int unsigned MAX_GROUPS  = MAX_HIDDEN / CHANNELS;
  localparam int unsigned OVERHEAD    = ROWS + LAYER_NORM_OVERHEAD;
  localparam int unsigned COUNT       = $clog2(MAX_GROUPS + OVERHEAD);
  localparam int unsigned GROUP       = $clog2(MAX_GROUPS);
  // log2 of the groups in a word of two channels.
  localparam int unsigned HALF        = CHANNELS == 2 ? 0 : 1;
  localparam int unsigned WORD_GROUPS = LANES / CHANNELS; // in a word of ACT
  localparam int unsigned POSITION    = $clog2(WORD_GROUPS);
  localparam int unsigned WRITES      = 16; // to ACT, on their way
  localparam int unsigned PARAMETERS  = 2; // header words before the channels

  if (CHANNELS != 1 && CHANNELS != 2) begin : gen_channels
    $error("one or two channels a cycle");
  end
  if (8 % LANES != 0 || WORD_GROUPS < 2) begin : gen_lanes
    $error("LANES divides 8, the step of N, and is more than CHANNELS");
  end
  if (MAX_HIDDEN > 2048) begin : gen_hidden
    $error("sums of at most 2048 channels fit the DSPs of the statistics");
  end

  typedef struct packed {
    logic              final_tile; // of the instruction
    logic              half;       // of the line buffer
    logic [15:0]       params;     // word of LNP of the first channels
    logic [GROUP:0]    groups;
    logic [COUNT-1:0]  last;       // cycles of a pass less one
  } tile_t;

  // ---- the instruction, and the row tile of its first pass
  logic [15:0] x_q, b_q, stride_q, y16_q, y8_q, y8_stride_q, par_q;
  logic [11:0] n_q;
  logic [COUNT-1:0] last_q;
  logic [GROUP:0]   groups;
  tile_t       tile;
  assign groups = (GROUP+1)'(n_q >> (1 - HALF));
  assign tile.params = par_q + 16'(PARAMETERS);
  assign tile.groups = groups;
  assign tile.last   = last_q;

  logic             pending; // an instruction was taken in the cycle before
  logic             active1, finish1;
  logic             start2, active2, finish2, ready2, leave2;
  logic [COUNT-1:0] count1, count2;

  fqbert_first_pass #(.WIDTH(COUNT)) u_pass1 (
    .clk_i, .rst_ni, .start_i, .row_tiles_i(cmd_i.row_tiles), .ready_o,
    .last_i(tile.last), .leave_i(ready2), .pending_o(pending),
    .half_o(tile.half), .final_tile_o(tile.final_tile),
    .active_o(active1), .count_o(count1), .finish_o(finish1)
  );

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      x_q         <= cmd_i.x_base;
      b_q         <= cmd_i.b_base;
      stride_q    <= cmd_i.stride;
      y16_q       <= cmd_i.y16_base;
      y8_q        <= cmd_i.y8_base;
      y8_stride_q <= cmd_i.y8_stride;
      par_q       <= cmd_i.par_base;
      n_q         <= cmd_i.channels[11:0];
    end else if (finish1) begin
      x_q   <= x_q + stride_q;
      b_q   <= b_q + stride_q;
      y16_q <= y16_q + stride_q;
      y8_q  <= y8_q + y8_stride_q;
    end
    if (pending) last_q <= COUNT'(groups) + COUNT'(OVERHEAD - 1);
  end

  logic unused_cmd;
  assign unused_cmd = ^cmd_i;

  // The header, read before the first pass begins.
  logic    header_arrives;
  mean_t   mean_q;
  scales_t scales_q;
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(MEMORY_CYCLES)) u_header (
    .clk_i, .rst_ni, .marker_i(pending), .marker_o(header_arrives)
  );
  always_ff @(posedge clk_i) begin
    if (header_arrives) begin
      mean_q   <= '{inv: lnp_rdata_i[20:0], eps: lnp_rdata_i[63:32], q: lnp_rdata_i[117:112]};
      scales_q <= '{
        m16: lnp_rdata_i[79:64], m8: lnp_rdata_i[95:80],
        s16: lnp_rdata_i[101:96], s8: lnp_rdata_i[109:104]
      };
    end
  end

  // ---- first pass
  logic issue1, read1;
  assign issue1       = active1 && count1 < COUNT'(groups);
  assign read1        = issue1 && (CHANNELS == 2 || !count1[0]);
  assign resx_read_o.enable   = read1;
  assign resb_read_o.enable   = read1;
  assign resx_read_o.address = x_q + 16'(count1 >> HALF);
  assign resb_read_o.address = b_q + 16'(count1 >> HALF);

  logic             valid1, last1;
  logic [GROUP-1:0] group1;
  fqbert_marker_delay #(.WIDTH(2), .CYCLES(MEMORY_CYCLES)) u_valid1 (
    .clk_i, .rst_ni, .marker_i({issue1, issue1 && count1 == COUNT'(groups - 1'b1)}),
    .marker_o({valid1, last1})
  );
  fqbert_delay #(.WIDTH(GROUP), .CYCLES(MEMORY_CYCLES)) u_group1 (
    .clk_i, .data_i(count1[GROUP-1:0]), .data_o(group1)
  );

  // A word has two channels: with one channel a cycle the upper one waits here for its turn.
  logic [ROWS-1:0][CHANNELS-1:0][15:0] a, b, x;
  for (genvar r = 0; r < ROWS; r++) begin : gen_operands
    if (CHANNELS == 2) begin : gen_word
      assign a[r] = resx_rdata_i[r*32+:32];
      assign b[r] = resb_rdata_i[r*32+:32];
    end else begin : gen_halves
      logic [15:0] upper_a_q, upper_b_q;
      always_ff @(posedge clk_i) begin
        if (!group1[0]) begin
          upper_a_q <= resx_rdata_i[r*32+16+:16];
          upper_b_q <= resb_rdata_i[r*32+16+:16];
        end
      end
      assign a[r] = group1[0] ? upper_a_q : resx_rdata_i[r*32+:16];
      assign b[r] = group1[0] ? upper_b_q : resb_rdata_i[r*32+:16];
    end
  end

  row_t [ROWS-1:0] rows1;
  fqbert_layernorm_statistics #(.ROWS(ROWS), .CHANNELS(CHANNELS)) u_statistics (
    .clk_i, .rst_ni, .n_i(n_q), .mean_i(mean_q),
    .valid_i(valid1), .first_i(group1 == '0),
    .last_i(last1), .a_i(a), .b_i(b), .x_o(x), .rows_o(rows1)
  );

  logic             x_valid;
  logic [GROUP-1:0] x_group;
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(1)) u_x_valid (
    .clk_i, .rst_ni, .marker_i(valid1), .marker_o(x_valid)
  );
  fqbert_delay #(.WIDTH(GROUP), .CYCLES(1)) u_x_group (.clk_i, .data_i(group1), .data_o(x_group));

  // ---- second pass
  tile_t           tile2_q;
  row_t [ROWS-1:0] rows2_q;
  scales_t         scales2_q;
  assign start2 = finish1;
  always_ff @(posedge clk_i) begin
    if (start2) begin
      tile2_q   <= tile;
      rows2_q   <= rows1;
      scales2_q <= scales_q;
    end
  end

  fqbert_pass #(.WIDTH(COUNT)) u_pass2 (
    .clk_i, .rst_ni, .start_i(start2), .last_i(tile2_q.last), .leave_i(leave2),
    .ready_o(ready2), .active_o(active2), .count_o(count2), .finish_o(finish2)
  );
  logic unused_count; // groups are counted apart
  assign unused_count = ^count2;
  assign done_o = finish2 && tile2_q.final_tile;

  // A group is read unless the next instruction takes LNP in this cycle, and the first of a word of
  // ACT only when there is room.
  localparam int unsigned Y16_CYCLES  = MEMORY_CYCLES + 12; // from the read of x
  localparam int unsigned Y8_CYCLES   = MEMORY_CYCLES + 15;
  localparam int unsigned PUSH_CYCLES = Y8_CYCLES + 1;

  logic [GROUP:0]            group2_q;
  logic [$clog2(WRITES+1)-1:0] writes_q;
  logic                      to_go, opens, issue2, written;
  logic [PUSH_CYCLES:1]      under_way_q; // bit i: read i cycles ago

  assign to_go  = group2_q != tile2_q.groups;
  assign opens  = group2_q[POSITION-1:0] == '0;
  assign issue2 = active2 && to_go && !pending
               && (!opens || writes_q != ($clog2(WRITES+1))'(WRITES));
  assign leave2 = !to_go && under_way_q == '0 && (!tile2_q.final_tile || writes_q == '0);

  always_ff @(posedge clk_i) begin
    if (start2) group2_q <= '0;
    else if (issue2) group2_q <= group2_q + 1'b1;

    if (!rst_ni) begin
      under_way_q <= '0;
      writes_q    <= '0;
    end else begin
      under_way_q <= {under_way_q[PUSH_CYCLES-1:1], issue2};
      writes_q    <= writes_q + ($clog2(WRITES+1))'(issue2 && opens) - ($clog2(WRITES+1))'(written);
    end
  end

  logic [ROWS-1:0][CHANNELS-1:0][15:0] x2;
  fqbert_ram #(.BYTES(ROWS * CHANNELS * 2), .DEPTH(2 ** (GROUP + 1))) u_sums (
    .clk_i,
    .ren_i(issue2), .raddr_i(16'({tile2_q.half, group2_q[GROUP-1:0]})), .rdata_o(x2),
    .wen_i(x_valid), .waddr_i(16'({tile.half, x_group})), .wdata_i(x), .wbe_i('1)
  );

  assign lnp_read_o.enable   = pending || (issue2 && (CHANNELS == 2 || !group2_q[0]));
  assign lnp_read_o.address = pending ? par_q : tile2_q.params + 16'(group2_q >> HALF);

  logic [1:0][39:0]          word; // records of two channels: gamma, beta
  logic [CHANNELS-1:0][39:0] records;
  assign word = {lnp_rdata_i[103:64], lnp_rdata_i[39:0]};
  if (CHANNELS == 2) begin : gen_records
    assign records = word;
  end else begin : gen_record
    logic        odd;
    logic [39:0] upper_q;
    fqbert_delay #(.WIDTH(1), .CYCLES(MEMORY_CYCLES)) u_odd (
      .clk_i, .data_i(group2_q[0]), .data_o(odd)
    );
    always_ff @(posedge clk_i) if (under_way_q[MEMORY_CYCLES] && !odd) upper_q <= word[1];
    assign records[0] = odd ? upper_q : word[0];
  end
  logic unused_lnp;
  assign unused_lnp = ^lnp_rdata_i;

  logic [ROWS-1:0][CHANNELS-1:0][15:0] y16;
  logic [ROWS-1:0][CHANNELS-1:0][7:0]  y8;
  fqbert_layernorm_normalise #(.ROWS(ROWS), .CHANNELS(CHANNELS)) u_normalise (
    .clk_i, .rows_i(rows2_q), .scales_i(scales2_q),
    .x_i(x2), .records_i(records), .y16_o(y16), .y8_o(y8)
  );

  // ---- y16
  logic        y16_valid;
  logic [15:0] y16_addr_q;
  assign y16_valid    = under_way_q[Y16_CYCLES];
  assign resx_write_o.address = y16_addr_q;
  always_ff @(posedge clk_i) begin
    if (start2) y16_addr_q <= y16_q;
    else if (resx_write_o.enable) y16_addr_q <= y16_addr_q + 16'd1;
  end
  if (CHANNELS == 2) begin : gen_y16
    assign resx_write_o.enable   = y16_valid;
    assign resx_wdata_o = y16;
  end else begin : gen_y16_halves
    logic                  upper_q;
    logic [ROWS-1:0][15:0] lower_q;
    assign resx_write_o.enable = y16_valid && upper_q;
    always_ff @(posedge clk_i) begin
      if (start2) upper_q <= 1'b0;
      else if (y16_valid) upper_q <= !upper_q;
    end
    for (genvar r = 0; r < ROWS; r++) begin : gen_row
      always_ff @(posedge clk_i) if (y16_valid) lower_q[r] <= y16[r][0];
      assign resx_wdata_o[r*32+:32] = {y16[r][0], lower_q[r]};
    end
  end

  // ---- y8, gathered into words of ACT
  logic                          y8_valid, push_q;
  logic [15:0]                   y8_addr_q;
  logic [POSITION-1:0]           position_q;
  logic [ROWS-1:0][LANES-1:0][7:0] gathered_q;
  assign y8_valid = under_way_q[Y8_CYCLES];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) push_q <= 1'b0;
    else push_q <= y8_valid && position_q == POSITION'(WORD_GROUPS - 1);

    if (start2) position_q <= '0;
    else if (y8_valid) position_q <= position_q + 1'b1;

    if (start2) y8_addr_q <= y8_q;
    else if (push_q) y8_addr_q <= y8_addr_q + 16'd1;

    for (int unsigned l = 0; l < LANES; l++) begin
      for (int unsigned r = 0; r < ROWS; r++) begin
        if (y8_valid && position_q == POSITION'(l / CHANNELS)) begin
          gathered_q[r][l] <= y8[r][l%CHANNELS];
        end
      end
    end
  end

  fqbert_write_queue #(.WIDTH(ROWS * LANES * 8), .DEPTH(WRITES)) u_writes (
    .clk_i, .rst_ni, .push_i(push_q), .addr_i(y8_addr_q), .data_i(gathered_q),
    .wen_o(act_write_o.enable), .wready_i(act_wready_i),
    .waddr_o(act_write_o.address), .wdata_o(act_wdata_o), .written_o(written)
  );

endmodule
