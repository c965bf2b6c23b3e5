// Restoring divider of one row: min(2^17 - 1, floor(255 * 2^24 / sum)), 0 for a sum of 0, one bit
// of the quotient a cycle. The sum holds still from the first step on; the result is there after
// 17.
module fqbert_reciprocal (
  input  logic        clk_i,
  input  logic        step_i,
  input  logic        first_i,   // with step_i: the first of the 17
  input  logic [24:0] sum_i,
  output logic [16:0] result_o
);

  // The quotient has 17 bits where the upper half of the dividend is below the divisor; the lower
  // half, which would be brought down bit by bit, is zero.
  localparam logic [24:0] UPPER = 25'(255 << 7);

  logic [24:0] remainder_q, remainder;
  logic [25:0] doubled;
  logic        fits;
  logic [16:0] quotient_q;

  assign remainder = first_i ? UPPER : remainder_q;
  assign doubled   = {remainder, 1'b0};
  assign fits      = doubled >= {1'b0, sum_i};

  always_ff @(posedge clk_i) begin
    if (step_i) begin
      // The remainder is below the sum again wherever the quotient counts.
      remainder_q <= fits ? 25'(doubled - {1'b0, sum_i}) : doubled[24:0];
      quotient_q  <= {quotient_q[15:0], fits};
    end
  end

  always_comb begin
    result_o = quotient_q;
    if (sum_i <= UPPER) result_o = '1;
    if (sum_i == '0) result_o = '0;
  end

endmodule
