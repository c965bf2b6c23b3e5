// One DSP48E2 of the array, the paper's BIM: (w_hi * 2^23 + w_lo) * a, added to the neighbour's sum
// (PCIN) and in the last lane of a cascade to its own. Operands to P takes four cycles;
// accumulate_i belongs to the operands of two cycles before.
module fqbert_dsp_packed #(
  parameter bit CASCADED   = 1'b1, // takes pcin_i
  parameter bit ACCUMULATE = 1'b0  // has a sum of its own: OPMODE W = P
) (
  input  logic               clk_i,
  input  logic signed [8:0]  a_i,    // activation: i8, or u8 with a zero on top
  input  logic signed [4:0]  w_lo_i, // 4-bit code, or unsigned low nibble of an 8-bit one
  input  logic signed [3:0]  w_hi_i, // 4-bit code, or signed high nibble
  input  logic               accumulate_i,
  input  logic        [47:0] pcin_i,
  output logic        [47:0] pcout_o,
  output logic        [47:0] p_o
);

`ifdef FQBERT_VENDOR

  // UG579, table 2-3 and following: X, Y = M; Z = PCIN or 0; W = P or 0.
  logic [8:0] opmode;
  assign opmode = {1'b0, ACCUMULATE & accumulate_i, 2'b00, CASCADED, 4'b0101};

  DSP48E2 #(
    .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
    .AMULTSEL("AD"), .BMULTSEL("B"), .PREADDINSEL("A"),
    .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"),
    .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(1), .BREG(2), .BCASCREG(2), .CREG(0),
    .MREG(1), .PREG(1), .INMODEREG(0), .OPMODEREG(1),
    .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0)
  ) u_dsp (
    .CLK(clk_i),
    .A({{25{w_lo_i[4]}}, w_lo_i}), .B({{9{a_i[8]}}, a_i}), .C('1), .D({w_hi_i, 23'b0}),
    .PCIN(CASCADED ? pcin_i : 48'b0), .PCOUT(pcout_o), .P(p_o),
    .INMODE(5'b00100), .OPMODE(opmode), .ALUMODE(4'b0000), .CARRYIN(1'b0), .CARRYINSEL(3'b000),
    .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b1), .CEB2(1'b1),
    .CED(1'b1), .CEAD(1'b1), .CEC(1'b0), .CEM(1'b1), .CEP(1'b1),
    .CECTRL(1'b1), .CEINMODE(1'b0), .CEALUMODE(1'b0), .CECARRYIN(1'b0),
    .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
    .RSTCTRL(1'b0), .RSTINMODE(1'b0), .RSTALUMODE(1'b0), .RSTALLCARRYIN(1'b0),
    .ACIN('0), .BCIN('0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .CARRYOUT(), .MULTSIGNOUT(), .OVERFLOW(), .UNDERFLOW(),
    .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT()
  );

`else

  logic signed [26:0] a_q, d_q, ad_q; // 27-bit ports: the pre-adder wraps
  logic signed [17:0] b1_q, b2_q;
  logic signed [44:0] m_q;
  logic        [47:0] p_q;
  logic               accumulate_q;

  always_ff @(posedge clk_i) begin
    a_q          <= 27'(w_lo_i);
    d_q          <= {w_hi_i, 23'b0};
    ad_q         <= d_q + a_q;
    b1_q         <= 18'(a_i);
    b2_q         <= b1_q;
    m_q          <= ad_q * b2_q;
    accumulate_q <= accumulate_i;
    p_q          <= 48'(m_q) + (CASCADED ? pcin_i : 48'b0)
                  + (ACCUMULATE && accumulate_q ? p_q : 48'b0);
  end

  assign pcout_o = p_q;
  assign p_o     = p_q;

  if (!CASCADED) begin : gen_first
    logic unused_pcin;
    assign unused_pcin = ^pcin_i;
  end
  if (!ACCUMULATE) begin : gen_passing
    logic unused_accumulate;
    assign unused_accumulate = accumulate_q;
  end

`endif

endmodule
