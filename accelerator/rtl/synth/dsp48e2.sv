// Ports of the DSP48E2 (UG579, table 1-1) as an empty box, for tools whose SystemVerilog reader
// wants every module declared, such as read_slang of Yosys. Vivado has the primitive: do not give
// it this file.
(* blackbox *)
module DSP48E2 #(
  parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT",
  parameter AMULTSEL = "A", BMULTSEL = "B", PREADDINSEL = "A",
  parameter USE_MULT = "MULTIPLY", USE_SIMD = "ONE48", USE_PATTERN_DETECT = "NO_PATDET",
  parameter integer AREG = 1, ACASCREG = 1, BREG = 1, BCASCREG = 1, CREG = 1, DREG = 1, ADREG = 1,
  parameter integer MREG = 1, PREG = 1,
  parameter integer INMODEREG = 1, OPMODEREG = 1, ALUMODEREG = 1, CARRYINREG = 1, CARRYINSELREG = 1
) (
  input  logic        CLK,
  input  logic [29:0] A, ACIN,
  input  logic [17:0] B, BCIN,
  input  logic [47:0] C, PCIN,
  input  logic [26:0] D,
  input  logic [4:0]  INMODE,
  input  logic [8:0]  OPMODE,
  input  logic [3:0]  ALUMODE,
  input  logic [2:0]  CARRYINSEL,
  input  logic        CARRYIN, CARRYCASCIN, MULTSIGNIN,
  input  logic        CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP,
  input  logic        CECTRL, CEINMODE, CEALUMODE, CECARRYIN,
  input  logic        RSTA, RSTB, RSTC, RSTD, RSTM, RSTP,
  input  logic        RSTCTRL, RSTINMODE, RSTALUMODE, RSTALLCARRYIN,
  output logic [29:0] ACOUT,
  output logic [17:0] BCOUT,
  output logic [47:0] P, PCOUT,
  output logic [3:0]  CARRYOUT,
  output logic [7:0]  XOROUT,
  output logic        CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, UNDERFLOW, PATTERNDETECT, PATTERNBDETECT
);
endmodule
