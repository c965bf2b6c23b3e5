// One DSP48E2: a * b + c, with a signed of up to 27 bits and b signed of up to 18. Operands to P takes three cycles; c_i belongs to
// the operands of the cycle before.
module fqbert_multiply_add #(
  parameter int unsigned A_WIDTH = 27,
  parameter int unsigned B_WIDTH = 18
) (
  input  logic                      clk_i,
  input  logic signed [A_WIDTH-1:0] a_i,
  input  logic signed [B_WIDTH-1:0] b_i,
  input  logic signed [47:0]        c_i,
  output logic signed [47:0]        p_o
);

  if (A_WIDTH > 27 || B_WIDTH > 18) begin : gen_too_wide
    $error("a DSP48E2 multiplies 27 by 18 bits");
  end

  logic signed [A_WIDTH-1:0] a_q;
  logic signed [B_WIDTH-1:0] b_q;
  (* use_dsp = "yes" *) logic signed [A_WIDTH+B_WIDTH-1:0] m_q;
  logic signed [47:0]        c_q;

  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    b_q <= b_i;
    m_q <= a_q * b_q;
    c_q <= c_i;
    p_o <= 48'(m_q) + c_q;
  end

endmodule
