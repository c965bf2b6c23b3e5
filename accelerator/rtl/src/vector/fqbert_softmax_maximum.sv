// First pass of softmax: the maximum of each row over its column range, two columns a cycle. It is
// there three cycles after the last scores.
module fqbert_softmax_maximum
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS = 4
) (
  input  logic                      clk_i,
  input  logic                      valid_i,
  input  logic                      first_i,
  input  logic [8:0]                column_i, // the lower of the two
  input  logic [ROWS-1:0][1:0][7:0] scores_i,
  input  range_t [ROWS-1:0]         ranges_i,
  output logic [ROWS-1:0][7:0]      maxima_o
);

  logic [1:0] valid, first;
  always_ff @(posedge clk_i) begin
    valid <= {valid[0], valid_i};
    first <= {first[0], first_i};
  end

  // Outside its range a row takes the lowest score, which no maximum can tell from no score.
  localparam logic signed [7:0] LOWEST = 8'sh80;

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    logic signed [1:0][7:0] inside_q;
    logic signed [7:0]      pair_q, maximum_q;
    logic        [1:0][9:0] column;
    assign column[0] = {1'b0, column_i};
    assign column[1] = {1'b0, column_i} | 10'd1;
    always_ff @(posedge clk_i) begin
      for (int unsigned n = 0; n < 2; n++) begin
        inside_q[n] <= (column[n] >= ranges_i[r].lo && column[n] < ranges_i[r].hi)
                     ? scores_i[r][n] : LOWEST;
      end
      pair_q <= $signed(inside_q[1]) > $signed(inside_q[0]) ? inside_q[1] : inside_q[0];
      if (valid[1]) maximum_q <= (first[1] || pair_q > maximum_q) ? pair_q : maximum_q;
    end
    assign maxima_o[r] = maximum_q;
  end

endmodule
