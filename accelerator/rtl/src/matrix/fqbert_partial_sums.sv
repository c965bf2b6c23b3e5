// Adds what came before to the sums of a step: the bias for the first part of a tile, else the
// parts so far, which are kept here in LUT memory by column. One adder serves both; the result of
// the last part is saturated to the multiplier's 27 bits.
module fqbert_partial_sums #(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4
) (
  input  logic                               clk_i,
  // One cycle before the sums: column whose earlier parts will be needed.
  input  logic [7:0]                         column_i,
  // With the sums.
  input  logic                               store_i, // not the last part: keep the result
  input  logic                               first_i, // first part: add the bias
  input  logic [1:0][31:0]                   bias_i,
  input  logic signed [ROWS-1:0][1:0][29:0]  sums_i,
  output logic signed [ROWS-1:0][1:0][26:0]  values_o
);

  localparam int unsigned WIDTH = 33; // sum plus bias does not wrap
  localparam int unsigned COLUMN = PAIRS > 1 ? $clog2(PAIRS) : 1;

  logic [ROWS-1:0][1:0][WIDTH-1:0] memory [PAIRS];
  logic [ROWS-1:0][1:0][WIDTH-1:0] earlier_q, totals;
  logic [COLUMN-1:0]               column_q;

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    for (genvar n = 0; n < 2; n++) begin : gen_channel
      logic signed [WIDTH-1:0] start, total;
      assign start = first_i ? WIDTH'(signed'(bias_i[n])) : earlier_q[r][n];
      assign total = WIDTH'(signed'(sums_i[r][n])) + start;
      assign totals[r][n] = total;
      assign values_o[r][n] = (total[WIDTH-1:26] == '0 || total[WIDTH-1:26] == '1)
          ? total[26:0] : {total[WIDTH-1], {26{~total[WIDTH-1]}}};
    end
  end

  always_ff @(posedge clk_i) begin
    earlier_q <= memory[COLUMN'(column_i)];
    column_q  <= COLUMN'(column_i);
    if (store_i) memory[column_q] <= totals;
  end

  logic unused_column;
  assign unused_column = ^column_i;

endmodule
