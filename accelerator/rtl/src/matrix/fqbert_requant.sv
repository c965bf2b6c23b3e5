// One requantization lane: sat(rshift(v * m, s)), one DSP48E2, a barrel shifter and a saturation.
// The result comes five cycles after the value and the multiplier; rounding comes one cycle, the
// shift three and the width four cycles after them.
module fqbert_requant (
  input  logic               clk_i,
  input  logic signed [26:0] value_i,
  input  logic        [15:0] multiplier_i,
  input  logic        [47:0] rounding_i,
  input  logic        [5:0]  shift_i,
  input  logic               wide_i,   // 16 bits, else 8
  output logic        [15:0] result_o  // i16; an i8 result is sign-extended
);

  logic signed [47:0] product;

  fqbert_multiply_add u_multiply (
    .clk_i,
    .a_i(value_i),
    .b_i({2'b00, multiplier_i}),
    .c_i(rounding_i),
    .p_o(product)
  );

  // Value 27 bits, multiplier 16, shift at least 1: 43 bits hold every shifted product.
  logic signed [42:0] shifted_q;
  always_ff @(posedge clk_i) shifted_q <= 43'(product >>> shift_i);

  // Symmetric: the lowest code of the width saturates too.
  function automatic logic [15:0] saturate(logic signed [42:0] v, logic wide);
    logic signed [42:0] limit;
    limit = wide ? 43'sd32767 : 43'sd127;
    if (v > limit) return limit[15:0];
    if (v < -limit) return 16'(-limit);
    return v[15:0];
  endfunction

  always_ff @(posedge clk_i) result_o <= saturate(shifted_q, wide_i);

endmodule
