// The two GELU tables for one lane, in LUT memory: written by LOAD as words of 16 codes, read as
// codes. Entry x + 128 is the code of x; the read is combinational.
module fqbert_gelu_table (
  input  logic         clk_i,
  input  logic         wen_i,
  input  logic [4:0]   waddr_i,
  input  logic [127:0] wdata_i,
  input  logic         table_i,
  input  logic [7:0]   x_i,
  output logic [7:0]   code_o
);

  logic [15:0][7:0] memory [32];
  logic [15:0][7:0] word;
  logic [7:0]       entry;

  always_ff @(posedge clk_i) if (wen_i) memory[waddr_i] <= wdata_i;

  assign entry  = x_i ^ 8'h80;
  assign word   = memory[{table_i, entry[7:4]}];
  assign code_o = word[entry[3:0]];

endmodule
