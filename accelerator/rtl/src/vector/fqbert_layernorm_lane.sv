// One channel a cycle of one row of layer norm: centring, scaling by the row's reciprocal
// deviation, gamma and beta, and the two outputs, with a DSP48E2 for each product. After x come:
// gamma 4 cycles, beta 5, y16 12, y8 15 cycles later.
module fqbert_layernorm_lane
  import fqbert_vector_pkg::*;
(
  input  logic               clk_i,
  // Hold still while channels are under way.
  input  row_t               row_i,
  input  logic [47:0]        half_i,   // of row_i.shift
  input  scales_t            scales_i, // shifts in 1..40
  input  logic [47:0]        half16_i, // of scales_i.s16
  input  logic [47:0]        half8_i,

  input  logic signed [15:0] x_i,
  input  logic signed [7:0]  gamma_i,
  input  logic signed [31:0] beta_i,
  output logic [15:0]        y16_o,
  output logic [7:0]         y8_o
);

  // z = clamp(rshift((16 * x - mu) * rho, shift)), 11 fraction bits.
  logic signed [20:0] centred;
  logic signed [47:0] z_product;
  logic signed [37:0] z_shifted_q; // 4
  logic signed [17:0] z;
  localparam logic signed [37:0] Z_MAX = 38'sd131071;
  assign centred = $signed({x_i[15], x_i, 4'b0}) - 21'(row_i.mu);
  fqbert_multiply_add #(.A_WIDTH(21)) u_z (
    .clk_i, .a_i(centred), .b_i({2'b0, row_i.rho}), .c_i(half_i), .p_o(z_product)
  );
  always_ff @(posedge clk_i) z_shifted_q <= 38'(z_product >>> row_i.shift);
  assign z = z_shifted_q > Z_MAX ? 18'sd131071
           : z_shifted_q < -Z_MAX ? -18'sd131071 : z_shifted_q[17:0];

  // h = sat27(z * gamma + beta).
  logic signed [47:0] h_sum; // 7
  logic signed [26:0] h;
  localparam logic signed [47:0] H_MAX = 48'sd67108863;
  fqbert_multiply_add #(.A_WIDTH(18), .B_WIDTH(8)) u_h (
    .clk_i, .a_i(z), .b_i(gamma_i), .c_i(48'(beta_i)), .p_o(h_sum)
  );
  assign h = h_sum > H_MAX ? 27'sh3ffffff : h_sum < -H_MAX - 48'sd1 ? 27'sh4000000 : h_sum[26:0];

  // y16 = sat16(rshift(h * m16, s16)).
  logic signed [47:0] y16_product; // 10
  logic signed [42:0] y16_shifted_q;
  logic signed [15:0] y16;
  localparam logic signed [42:0] Y16_MAX = 43'sd32767;
  fqbert_multiply_add u_y16 (
    .clk_i, .a_i(h), .b_i({2'b0, scales_i.m16}), .c_i(half16_i), .p_o(y16_product)
  );
  always_ff @(posedge clk_i) y16_shifted_q <= 43'(y16_product >>> scales_i.s16); // 11
  assign y16 = y16_shifted_q > Y16_MAX ? 16'sd32767
             : y16_shifted_q < -Y16_MAX ? -16'sd32767 : y16_shifted_q[15:0];
  always_ff @(posedge clk_i) y16_o <= y16; // 12

  // y8 = sat8(rshift(y16 * m8, s8)).
  logic signed [47:0] y8_product; // 14
  logic signed [31:0] y8_shifted_q;
  localparam logic signed [31:0] Y8_MAX = 32'sd127;
  fqbert_multiply_add #(.A_WIDTH(16)) u_y8 (
    .clk_i, .a_i(y16), .b_i({2'b0, scales_i.m8}), .c_i(half8_i), .p_o(y8_product)
  );
  always_ff @(posedge clk_i) y8_shifted_q <= 32'(y8_product >>> scales_i.s8); // 15
  assign y8_o = y8_shifted_q > Y8_MAX ? 8'h7f : y8_shifted_q < -Y8_MAX ? 8'h81 : y8_shifted_q[7:0];

endmodule
