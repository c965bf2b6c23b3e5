// Second pass of softmax: exponentials of each row's distance to its maximum, their sum, and the
// reciprocal of the sum. The exponentials come three cycles after their scores, the reciprocal 21
// cycles after the last.
module fqbert_softmax_exponential
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS = 4
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  // The tables, as LOAD writes them.
  input  logic                       exp_wen_i,
  input  logic [5:0]                 exp_waddr_i,
  input  logic [127:0]               exp_wdata_i,
  // The row tile.
  input  logic                       table_i,
  input  logic [ROWS-1:0][7:0]       maxima_i,
  input  range_t [ROWS-1:0]          ranges_i,
  // Its scores, two columns a cycle.
  input  logic                       valid_i,
  input  logic                       first_i,
  input  logic                       last_i,
  input  logic [8:0]                 column_i,
  input  logic [ROWS-1:0][1:0][7:0]  scores_i,
  output logic                       valid_o,
  output logic [ROWS-1:0][1:0][15:0] exponentials_o,
  output logic [ROWS-1:0][16:0]      reciprocals_o
);

  localparam int unsigned CYCLES = 3;  // from scores to exponentials
  localparam int unsigned STEPS  = 17; // of the divider

  logic first, last;
  fqbert_marker_delay #(.WIDTH(2), .CYCLES(CYCLES)) u_valid (
    .clk_i, .rst_ni, .marker_i({valid_i, last_i}), .marker_o({valid_o, last})
  );
  fqbert_delay #(.WIDTH(1), .CYCLES(CYCLES)) u_first (.clk_i, .data_i(first_i), .data_o(first));

  // The divider runs from the cycle in which the sum holds the last exponentials.
  logic [4:0] steps_q; // to go
  logic       step;
  assign step = steps_q != '0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) steps_q <= '0;
    else if (valid_o && last) steps_q <= 5'(STEPS);
    else if (step) steps_q <= steps_q - 5'd1;
  end

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    for (genvar n = 0; n < 2; n++) begin : gen_column
      logic [9:0] column;
      logic [7:0] distance_q;
      logic       outside_q, outside2_q;
      assign column = {1'b0, column_i} | 10'(n);
      always_ff @(posedge clk_i) begin
        // Inside the range the maximum is at least the score, and 8 bits hold every difference.
        distance_q <= maxima_i[r] - scores_i[r][n];
        outside_q  <= column < ranges_i[r].lo || column >= ranges_i[r].hi;
        outside2_q <= outside_q;
      end
      fqbert_exp_table u_table (
        .clk_i, .wen_i(exp_wen_i), .waddr_i(exp_waddr_i), .wdata_i(exp_wdata_i),
        .table_i, .index_i(distance_q), .clear_i(outside2_q), .entry_o(exponentials_o[r][n])
      );
    end

    logic [24:0] sum_q;
    always_ff @(posedge clk_i) begin
      if (valid_o) begin
        sum_q <= (first ? 25'd0 : sum_q) + 25'(exponentials_o[r][0]) + 25'(exponentials_o[r][1]);
      end
    end

    fqbert_reciprocal u_reciprocal (
      .clk_i, .step_i(step), .first_i(steps_q == 5'(STEPS)),
      .sum_i(sum_q), .result_o(reciprocals_o[r])
    );
  end

endmodule
