// One DSP48E2: a * b + c, with a signed of up to 27 bits and b signed of up to 18. Operands to P
// takes three cycles; c_i belongs to the operands of the cycle before.
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

`ifdef FQBERT_VENDOR

  // UG579, table 2-3 and following: X, Y = M; Z = C.
  DSP48E2 #(
    .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
    .AMULTSEL("A"), .BMULTSEL("B"), .PREADDINSEL("A"),
    .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"),
    .AREG(1), .ACASCREG(1), .DREG(0), .ADREG(0), .BREG(1), .BCASCREG(1), .CREG(1),
    .MREG(1), .PREG(1), .INMODEREG(0), .OPMODEREG(0),
    .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0)
  ) u_dsp (
    .CLK(clk_i),
    .A({{(30-A_WIDTH){a_i[A_WIDTH-1]}}, a_i}), .B(18'(b_i)),
    .C(c_i), .D('0), .PCIN('0), .PCOUT(), .P(p_o),
    .INMODE(5'b00000), .OPMODE(9'b000110101),
    .ALUMODE(4'b0000), .CARRYIN(1'b0), .CARRYINSEL(3'b000),
    .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b0), .CEB2(1'b1),
    .CED(1'b0), .CEAD(1'b0), .CEC(1'b1), .CEM(1'b1), .CEP(1'b1),
    .CECTRL(1'b0), .CEINMODE(1'b0), .CEALUMODE(1'b0), .CECARRYIN(1'b0),
    .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
    .RSTCTRL(1'b0), .RSTINMODE(1'b0), .RSTALUMODE(1'b0), .RSTALLCARRYIN(1'b0),
    .ACIN('0), .BCIN('0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .CARRYOUT(), .MULTSIGNOUT(), .OVERFLOW(), .UNDERFLOW(),
    .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT()
  );

`else

  logic signed [A_WIDTH-1:0]         a_q;
  logic signed [B_WIDTH-1:0]         b_q;
  logic signed [A_WIDTH+B_WIDTH-1:0] m_q;
  logic signed [47:0]                c_q;

  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    b_q <= b_i;
    m_q <= a_q * b_q;
    c_q <= c_i;
    p_o <= 48'(m_q) + c_q;
  end

`endif

endmodule
