// Third pass of softmax: (e * R + 2^23) >> 24, one DSP48E2 for each of two columns of every row.
// Probabilities come three cycles after the exponentials.
module fqbert_softmax_normalise #(
  parameter int unsigned ROWS = 4
) (
  input  logic                       clk_i,
  input  logic [ROWS-1:0][1:0][15:0] exponentials_i,
  input  logic [ROWS-1:0][16:0]      reciprocals_i,
  output logic [ROWS-1:0][1:0][7:0]  probabilities_o
);

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    for (genvar n = 0; n < 2; n++) begin : gen_column
      logic signed [47:0] product;
      fqbert_multiply_add #(.A_WIDTH(17), .B_WIDTH(18)) u_multiply (
        .clk_i, .a_i({1'b0, exponentials_i[r][n]}),
        .b_i({1'b0, reciprocals_i[r]}), .c_i(48'(1 << 23)), .p_o(product)
      );
      assign probabilities_o[r][n] = product[31:24];
      logic unused_bits; // an exponential is at most the sum: the product is below 2^32
      assign unused_bits = ^{product[47:32], product[23:0]};
    end
  end

endmodule
