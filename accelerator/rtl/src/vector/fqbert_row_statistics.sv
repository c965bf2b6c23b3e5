// Mean and reciprocal deviation of a row from its sums (docs/numerics.md, section 7), exact, for
// one row a cycle. The pipeline is shared by all rows and takes 18 cycles and eight DSP48E2.
module fqbert_row_statistics
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned CHANNELS = 1 // squares that are summed apart
) (
  input  logic                      clk_i,
  // The layer: holds still while rows are under way.
  input  logic [11:0]               n_i,
  input  mean_t                     mean_i,
  // A row.
  input  logic signed [26:0]        sum_i,
  input  logic [CHANNELS-1:0][41:0] squares_i,
  output row_t                      row_o
);

  // ---- the layer
  logic [3:0]  n_bits_q;   // bitlen(N)
  logic [5:0]  q_q;
  logic [47:0] mean_half_q, n_half_q;
  function automatic logic [3:0] bit_length(logic [11:0] n);
    for (int unsigned i = 12; i > 0; i--) if (n[i-1]) return 4'(i);
    return 4'd1;
  endfunction
  always_ff @(posedge clk_i) begin
    n_bits_q    <= bit_length(n_i);
    q_q         <= effective_shift(mean_i.q);
    mean_half_q <= half_of(q_q);
    n_half_q    <= half_of(6'(n_bits_q));
  end

  // ---- cycles 1 and 2: the row's sums
  logic signed [26:0]        sum1_q, sum2_q;
  logic [CHANNELS-1:0][41:0] squares1_q;
  logic [41:0]               squares2_q, squares;
  always_comb begin
    squares = '0;
    for (int unsigned e = 0; e < CHANNELS; e++) squares = squares + squares1_q[e];
  end
  always_ff @(posedge clk_i) begin
    sum1_q     <= sum_i;
    squares1_q <= squares_i;
    sum2_q     <= sum1_q;
    squares2_q <= squares;
  end

  // ---- cycles 3 to 5: products, each in two parts that fit a DSP
  logic signed [47:0] nsq_low, nsq_high, square_low, square_high, mean_low, mean_high;
  logic signed [17:0] n, low, high;
  assign n    = {6'b0, n_i};
  assign low  = {1'b0, sum2_q[16:0]};
  assign high = {{8{sum2_q[26]}}, sum2_q[26:17]};
  fqbert_multiply_add #(.A_WIDTH(25)) u_nsq_low (
    .clk_i, .a_i({1'b0, squares2_q[23:0]}), .b_i(n), .c_i({16'b0, mean_i.eps}), .p_o(nsq_low)
  );
  fqbert_multiply_add #(.A_WIDTH(19)) u_nsq_high (
    .clk_i, .a_i({1'b0, squares2_q[41:24]}), .b_i(n), .c_i('0), .p_o(nsq_high)
  );
  fqbert_multiply_add u_square_low (.clk_i, .a_i(sum2_q), .b_i(low), .c_i('0), .p_o(square_low));
  fqbert_multiply_add u_square_high (.clk_i, .a_i(sum2_q), .b_i(high), .c_i('0), .p_o(square_high));
  fqbert_multiply_add u_mean_low (
    .clk_i, .a_i(sum2_q), .b_i({1'b0, mean_i.inv[16:0]}), .c_i(mean_half_q), .p_o(mean_low)
  );
  fqbert_multiply_add u_mean_high (
    .clk_i, .a_i(sum2_q), .b_i({14'b0, mean_i.inv[20:17]}), .c_i('0), .p_o(mean_high)
  );

  // ---- cycles 6 to 8: V = N * sq - sum^2 + eps, and the mean
  logic [53:0]        nsq6_q, square6_q, v7_q, v8_q;
  logic signed [47:0] mean6_q, mean7_q;
  logic signed [19:0] mu8_q;
  logic [5:0]         top; // index of V's highest 1
  logic [5:1]         top8_q;
  always_comb begin
    top = '0;
    for (int unsigned i = 0; i < 54; i++) if (v7_q[i]) top = 6'(i);
  end
  localparam logic signed [47:0] MU_MAX = 48'sd524287;
  always_ff @(posedge clk_i) begin
    nsq6_q    <= {6'b0, nsq_low} + 54'({nsq_high, 24'b0});
    square6_q <= 54'(square_low) + 54'({square_high, 17'b0});
    mean6_q   <= mean_low + 48'({mean_high, 17'b0});
    v7_q      <= nsq6_q - square6_q;
    mean7_q   <= mean6_q >>> q_q;
    v8_q      <= v7_q == '0 ? 54'd1 : v7_q;
    top8_q    <= top[5:1];
    mu8_q     <= mean7_q > MU_MAX ? 20'sd524287 : mean7_q < -MU_MAX ? -20'sd524287 : mean7_q[19:0];
  end

  logic unused_top;
  assign unused_top = top[0];

  // ---- cycle 9: f = V shifted so that 15 or 16 bits are left, by an even count
  // With k = floor((top - 14) / 2), V << 14 >> (2k + 14) is V >> 2k for either sign of k, and
  // 2k + 14 is top without its last bit.
  logic [15:0]       f9_q;
  logic [4:0]        shift9_q;
  logic signed [6:0] shift;
  assign shift = 7'sd9 + $signed({2'b0, top8_q}) - $signed({3'b0, n_bits_q}); // 16 + k - bitlen(N)
  always_ff @(posedge clk_i) begin
    f9_q     <= 16'({v8_q, 14'b0} >> {top8_q, 1'b0});
    shift9_q <= shift < 7'sd1 ? 5'd1 : shift[4:0];
  end

  // ---- cycles 10 to 18: r (combinational in 13), N * r, rho
  logic [15:0]        r;
  logic signed [47:0] rho_product;
  logic [15:0]        rho_q;
  fqbert_rsqrt u_rsqrt (.clk_i, .f_i(f9_q), .r_o(r));
  logic [15:0] r14_q;
  always_ff @(posedge clk_i) r14_q <= r;
  fqbert_multiply_add #(.A_WIDTH(17), .B_WIDTH(18)) u_rho (
    .clk_i, .a_i({1'b0, r14_q}), .b_i(n), .c_i(n_half_q), .p_o(rho_product)
  );
  always_ff @(posedge clk_i) rho_q <= 16'(rho_product >> n_bits_q);

  fqbert_delay #(.WIDTH(20), .CYCLES(10)) u_mu (.clk_i, .data_i(mu8_q), .data_o(row_o.mu));
  fqbert_delay #(.WIDTH(5), .CYCLES(9)) u_shift (.clk_i, .data_i(shift9_q), .data_o(row_o.shift));
  assign row_o.rho = rho_q;

endmodule
