// Mantissa of a reciprocal square root (docs/numerics.md, section 7): r = B[i] - ((D[i] * d + 128)
// >> 8) of f = 256 * i + d, 2^14 <= f. The result comes four cycles after f: a table in LUTs, and
// one DSP48E2 that interpolates.
module fqbert_rsqrt (
  input  logic        clk_i,
  input  logic [15:0] f_i,
  output logic [15:0] r_o
);

  localparam int unsigned FIRST = 64; // smallest i

  // min(65535, round(2^19 / sqrt(i))): the largest b with (2 * b - 1)^2 * i <= 2^40, bit by bit.
  function automatic logic [15:0] base(int unsigned i);
    logic [15:0] b;
    logic [63:0] odd;
    b = '0;
    for (int unsigned n = 16; n > 0; n--) begin
      b[n-1] = 1'b1;
      odd = {47'b0, b, 1'b0} - 64'd1;
      if (odd * odd * 64'(i) > 64'd1 << 40) b[n-1] = 1'b0;
    end
    return b;
  endfunction

  function automatic logic [255:0][24:0] entries();
    logic [255:0][24:0] table_of;
    table_of = '0; // entries below FIRST are never read
    for (int unsigned i = FIRST; i < 256; i++) table_of[i] = {base(i), 9'(base(i) - base(i + 1))};
    return table_of;
  endfunction

  localparam logic [255:0][24:0] ENTRIES = entries();

  logic        [24:0] entry_q;
  logic        [7:0]  d_q;
  logic signed [47:0] product;
  logic        [15:0] base_q;

  always_ff @(posedge clk_i) begin
    entry_q <= ENTRIES[f_i[15:8]];
    d_q     <= f_i[7:0];
  end

  fqbert_multiply_add #(.A_WIDTH(10), .B_WIDTH(9)) u_interpolate (
    .clk_i, .a_i({1'b0, entry_q[8:0]}), .b_i({1'b0, d_q}), .c_i(48'd128), .p_o(product)
  );
  fqbert_delay #(.WIDTH(16), .CYCLES(3)) u_base (.clk_i, .data_i(entry_q[24:9]), .data_o(base_q));

  assign r_o = base_q - {7'b0, product[16:8]};

  logic unused_bits;
  assign unused_bits = ^{product[47:17], product[7:0]};

endmodule
