// Softmax core: three passes over R rows by two columns a cycle (maximum; exponentials, sum and
// reciprocal; normalisation), which work on three row tiles at once. A pass takes columns / 2 + 26
// cycles and hands its tile on through a line buffer.
//
// An instruction starts with start_i, allowed while ready_o is high; its first pass begins two
// cycles later. A tile waits at the end of a pass while the next pass still works on the tile
// before, which happens only behind an instruction of more columns.
module fqbert_softmax
  import fqbert_memory_pkg::access_t;
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS    = 4,
  parameter int unsigned LANES   = 8,
  parameter int unsigned MAX_SEQ = 512
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,

  input  logic                    start_i,
  input  fqbert_pkg::softmax_t    cmd_i,
  output logic                    ready_o,
  output logic                    done_o,   // the last cycle of an instruction

  input  logic                    exp_wen_i,
  input  logic [5:0]              exp_waddr_i,
  input  logic [127:0]            exp_wdata_i,

  output access_t                 rng_read_o,
  input  logic [127:0]            rng_rdata_i,
  output access_t                 scr_read_o,
  input  logic [ROWS*16-1:0]      scr_rdata_i,
  output access_t                 prb_write_o,
  output logic [ROWS*LANES*8-1:0] prb_wdata_o,
  output logic [ROWS*LANES-1:0]   prb_wbe_o
);

  localparam int unsigned RANGES    = 4;             // rows in a word of RNG
  localparam int unsigned RNG_WORDS = ROWS / RANGES; // read before the scores
  localparam int unsigned MAX_PAIRS = MAX_SEQ / 2;
  localparam int unsigned COUNT     = $clog2(MAX_PAIRS + SOFTMAX_OVERHEAD);
  localparam int unsigned PAIR      = $clog2(MAX_PAIRS);
  localparam int unsigned LANE      = $clog2(LANES / 2);

  if (ROWS % RANGES != 0) begin : gen_rows
    $error("ROWS is a multiple of the rows in a word of RNG");
  end
  if (RNG_WORDS + 5 > SOFTMAX_OVERHEAD) begin : gen_overhead
    $error("the ranges of so many rows do not fit the cycles of a pass");
  end
  if (MAX_SEQ > 512) begin : gen_columns
    $error("sums are of at most 512 columns");
  end

  typedef struct packed {
    logic              final_tile; // of the instruction
    logic              half;       // of the line buffers
    logic              exp_table;
    logic [15:0]       dst;
    logic [PAIR:0]     pairs;      // of columns
    logic [COUNT-1:0]  last;       // cycles of a pass less one
  } tile_t;

  // ---- the instruction, and the row tile of its first pass
  logic [15:0] src_q, src_stride_q, dst_q, dst_stride_q, range_word_q;
  logic        table_q;
  logic [PAIR:0]    pairs_q;
  logic [COUNT-1:0] last_q;
  tile_t       tile;
  assign tile.exp_table = table_q;
  assign tile.dst       = dst_q;
  assign tile.pairs     = pairs_q;
  assign tile.last      = last_q;

  logic             pending; // an instruction was taken in the cycle before
  logic             active1, finish1;
  logic             start2, active2, finish2, ready2;
  logic             start3, active3, finish3, ready3;
  logic [COUNT-1:0] count1, count2, count3;

  fqbert_first_pass #(.WIDTH(COUNT)) u_pass1 (
    .clk_i, .rst_ni, .start_i, .row_tiles_i(cmd_i.row_tiles), .ready_o,
    .last_i(tile.last), .leave_i(ready2), .pending_o(pending),
    .half_o(tile.half), .final_tile_o(tile.final_tile),
    .active_o(active1), .count_o(count1), .finish_o(finish1)
  );

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      src_q        <= cmd_i.src_base;
      src_stride_q <= cmd_i.src_stride;
      dst_q        <= cmd_i.dst_base;
      dst_stride_q <= cmd_i.dst_stride;
      range_word_q <= cmd_i.row0 >> $clog2(RANGES);
      table_q      <= cmd_i.table_;
      pairs_q      <= cmd_i.columns[PAIR+1:1];
    end else if (finish1) begin
      src_q        <= src_q + src_stride_q;
      dst_q        <= dst_q + dst_stride_q;
      range_word_q <= range_word_q + 16'(RNG_WORDS);
    end
    if (pending) last_q <= COUNT'(pairs_q) + COUNT'(SOFTMAX_OVERHEAD - 1);
  end

  logic unused_cmd;
  assign unused_cmd = ^cmd_i;

  // ---- first pass: ranges, then scores
  logic [COUNT-1:0] pair1;
  logic             ren1;
  assign pair1       = count1 - COUNT'(RNG_WORDS);
  assign ren1        = active1 && count1 >= COUNT'(RNG_WORDS) && pair1 < COUNT'(tile.pairs);
  assign rng_read_o.enable   = active1 && count1 < COUNT'(RNG_WORDS);
  assign rng_read_o.address = range_word_q + 16'(count1);
  assign scr_read_o.enable   = ren1;
  assign scr_read_o.address = src_q + 16'(pair1);

  logic              range_arrives;
  logic [COUNT-1:0]  range_word;
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(MEMORY_CYCLES)) u_range_valid (
    .clk_i, .rst_ni, .marker_i(rng_read_o.enable), .marker_o(range_arrives)
  );
  fqbert_delay #(.WIDTH(COUNT), .CYCLES(MEMORY_CYCLES)) u_range_word (
    .clk_i, .data_i(count1), .data_o(range_word)
  );

  function automatic logic [9:0] bound(logic [15:0] stored);
    return stored[15:10] != '0 ? '1 : stored[9:0];
  endfunction

  range_t [ROWS-1:0] ranges1_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned r = 0; r < ROWS; r++) begin
      if (range_arrives && range_word == COUNT'(r / RANGES)) begin
        ranges1_q[r].lo <= bound(rng_rdata_i[(r % RANGES)*32+:16]);
        ranges1_q[r].hi <= bound(rng_rdata_i[(r % RANGES)*32+16+:16]);
      end
    end
  end

  logic            valid1;
  logic [PAIR-1:0] arrived1; // pair of columns
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(MEMORY_CYCLES)) u_valid1 (
    .clk_i, .rst_ni, .marker_i(ren1), .marker_o(valid1)
  );
  fqbert_delay #(.WIDTH(PAIR), .CYCLES(MEMORY_CYCLES)) u_pair1 (
    .clk_i, .data_i(pair1[PAIR-1:0]), .data_o(arrived1)
  );

  logic [ROWS-1:0][7:0] maxima1;
  fqbert_softmax_maximum #(.ROWS(ROWS)) u_maximum (
    .clk_i, .valid_i(valid1), .first_i(arrived1 == '0), .column_i(9'({arrived1, 1'b0})),
    .scores_i(scr_rdata_i), .ranges_i(ranges1_q), .maxima_o(maxima1)
  );

  // ---- second pass
  tile_t                tile2_q;
  logic [ROWS-1:0][7:0] maxima2_q;
  range_t [ROWS-1:0]    ranges2_q;
  assign start2 = finish1;
  always_ff @(posedge clk_i) begin
    if (start2) begin
      tile2_q   <= tile;
      maxima2_q <= maxima1;
      ranges2_q <= ranges1_q;
    end
  end

  fqbert_pass #(.WIDTH(COUNT)) u_pass2 (
    .clk_i, .rst_ni, .start_i(start2), .last_i(tile2_q.last), .leave_i(ready3),
    .ready_o(ready2), .active_o(active2), .count_o(count2), .finish_o(finish2)
  );

  logic                ren2, valid2, last2;
  logic [PAIR-1:0]     arrived2;
  logic [ROWS*16-1:0]  scores2;
  assign ren2 = active2 && count2 < COUNT'(tile2_q.pairs);
  fqbert_marker_delay #(.WIDTH(2), .CYCLES(MEMORY_CYCLES)) u_valid2 (
    .clk_i, .rst_ni, .marker_i({ren2, ren2 && count2 == COUNT'(tile2_q.pairs - 1'b1)}),
    .marker_o({valid2, last2})
  );
  fqbert_delay #(.WIDTH(PAIR), .CYCLES(MEMORY_CYCLES)) u_pair2 (
    .clk_i, .data_i(count2[PAIR-1:0]), .data_o(arrived2)
  );

  fqbert_ram #(.BYTES(ROWS * 2), .DEPTH(2 * MAX_PAIRS)) u_scores (
    .clk_i,
    .ren_i(ren2), .raddr_i(16'({tile2_q.half, count2[PAIR-1:0]})), .rdata_o(scores2),
    .wen_i(valid1), .waddr_i(16'({tile.half, arrived1})), .wdata_i(scr_rdata_i), .wbe_i('1)
  );

  logic                       exponentials_valid;
  logic [PAIR-1:0]            exponentials_pair;
  logic [ROWS-1:0][1:0][15:0] exponentials;
  logic [ROWS-1:0][16:0]      reciprocals;
  fqbert_softmax_exponential #(.ROWS(ROWS)) u_exponential (
    .clk_i, .rst_ni, .exp_wen_i, .exp_waddr_i, .exp_wdata_i,
    .table_i(tile2_q.exp_table), .maxima_i(maxima2_q), .ranges_i(ranges2_q),
    .valid_i(valid2), .first_i(arrived2 == '0), .last_i(last2),
    .column_i(9'({arrived2, 1'b0})), .scores_i(scores2),
    .valid_o(exponentials_valid), .exponentials_o(exponentials), .reciprocals_o(reciprocals)
  );
  fqbert_delay #(.WIDTH(PAIR), .CYCLES(3)) u_exponentials_pair (
    .clk_i, .data_i(arrived2), .data_o(exponentials_pair)
  );

  // ---- third pass
  tile_t                 tile3_q;
  logic [ROWS-1:0][16:0] reciprocals3_q;
  assign start3 = finish2;
  always_ff @(posedge clk_i) begin
    if (start3) begin
      tile3_q        <= tile2_q;
      reciprocals3_q <= reciprocals;
    end
  end

  fqbert_pass #(.WIDTH(COUNT)) u_pass3 (
    .clk_i, .rst_ni, .start_i(start3), .last_i(tile3_q.last), .leave_i(1'b1),
    .ready_o(ready3), .active_o(active3), .count_o(count3), .finish_o(finish3)
  );
  logic unused_tile3;
  assign unused_tile3 = tile3_q.exp_table;
  assign done_o = finish3 && tile3_q.final_tile;

  logic                       ren3;
  logic [ROWS-1:0][1:0][15:0] exponentials3;
  assign ren3 = active3 && count3 < COUNT'(tile3_q.pairs);
  fqbert_ram #(.BYTES(ROWS * 4), .DEPTH(2 * MAX_PAIRS)) u_exponentials (
    .clk_i,
    .ren_i(ren3), .raddr_i(16'({tile3_q.half, count3[PAIR-1:0]})), .rdata_o(exponentials3),
    .wen_i(exponentials_valid), .waddr_i(16'({tile2_q.half, exponentials_pair})),
    .wdata_i(exponentials), .wbe_i('1)
  );

  logic [ROWS-1:0][1:0][7:0] probabilities;
  fqbert_softmax_normalise #(.ROWS(ROWS)) u_normalise (
    .clk_i, .exponentials_i(exponentials3),
    .reciprocals_i(reciprocals3_q), .probabilities_o(probabilities)
  );

  // From reading exponentials to probabilities.
  localparam int unsigned WRITE_CYCLES = MEMORY_CYCLES + 3;
  logic [PAIR-1:0] pair3;
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(WRITE_CYCLES)) u_write (
    .clk_i, .rst_ni, .marker_i(ren3), .marker_o(prb_write_o.enable)
  );
  fqbert_delay #(.WIDTH(PAIR), .CYCLES(WRITE_CYCLES)) u_pair3 (
    .clk_i, .data_i(count3[PAIR-1:0]), .data_o(pair3)
  );
  assign prb_write_o.address = tile3_q.dst + 16'(pair3 >> LANE);
  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    for (genvar l = 0; l < LANES; l++) begin : gen_lane
      assign prb_wdata_o[(r*LANES + l)*8+:8] = probabilities[r][l%2];
      assign prb_wbe_o[r*LANES + l]          = (pair3 & PAIR'(LANES / 2 - 1)) == PAIR'(l / 2);
    end
  end

endmodule
