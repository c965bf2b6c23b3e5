// Residual add of a row and its sums: x = sat16(a + b), the sum of x and the sum of x * x, CHANNELS
// channels a cycle with one DSP48E2 each. The x come one cycle after the operands, the sum after
// two, the squares after four; both hold until the next row.
module fqbert_row_sums #(
  parameter int unsigned CHANNELS = 1
) (
  input  logic                             clk_i,
  input  logic                             valid_i,
  input  logic                             first_i,
  input  logic [CHANNELS-1:0][15:0]        a_i,
  input  logic [CHANNELS-1:0][15:0]        b_i,
  output logic [CHANNELS-1:0][15:0]        x_o,
  output logic signed [26:0]               sum_o,
  output logic [CHANNELS-1:0][41:0]        squares_o
);

  function automatic logic [15:0] saturate(logic signed [16:0] v);
    if (v > 17'sd32767) return 16'h7fff;
    if (v < -17'sd32767) return 16'h8001;
    return v[15:0];
  endfunction

  logic [2:0] valid_q, first_q;
  always_ff @(posedge clk_i) begin
    valid_q <= {valid_q[1:0], valid_i};
    first_q <= {first_q[1:0], first_i};
  end

  logic signed [26:0] sum_q, added;
  always_comb begin
    added = first_q[0] ? '0 : sum_q;
    for (int unsigned e = 0; e < CHANNELS; e++) added = added + 27'($signed(x_o[e]));
  end
  always_ff @(posedge clk_i) if (valid_q[0]) sum_q <= added;
  assign sum_o = sum_q;

  for (genvar e = 0; e < CHANNELS; e++) begin : gen_channel
    logic signed [15:0] a_q;
    (* use_dsp = "yes" *) logic signed [31:0] m_q;
    logic        [47:0] p_q;
    always_ff @(posedge clk_i) begin
      x_o[e] <= saturate(17'($signed(a_i[e])) + 17'($signed(b_i[e])));
      a_q    <= $signed(x_o[e]);
      m_q    <= a_q * a_q;
      if (valid_q[2]) p_q <= (first_q[2] ? 48'd0 : p_q) + 48'(m_q);
    end
    assign squares_o[e] = p_q[41:0];
    logic unused_bits; // a square is not negative, and the sum of all below 2^41
    assign unused_bits = ^p_q[47:42];
  end

endmodule
