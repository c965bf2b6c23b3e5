// The two exponential tables of one softmax lane, 256 x 16 bits each, in LUTs: LOAD writes eight
// entries at once, and an entry comes two cycles after its index.
module fqbert_exp_table
  import fqbert_vector_pkg::*;
(
  input  logic         clk_i,
  input  logic         wen_i,
  input  logic [5:0]   waddr_i,  // word of EXP
  input  logic [127:0] wdata_i,
  input  logic         table_i,
  input  logic [7:0]   index_i,
  input  logic         clear_i,  // one cycle after the index: the entry is taken as 0
  output logic [15:0]  entry_o
);

  (* ram_style = "distributed" *) logic [127:0] words [64];

  always_ff @(posedge clk_i) begin
    if (wen_i) words[waddr_i] <= wdata_i;
  end

  logic [EXP_ENTRIES-1:0][15:0] word_q;
  logic [2:0]                   select_q;
  always_ff @(posedge clk_i) begin
    word_q   <= words[{table_i, index_i[7:3]}];
    select_q <= index_i[2:0];
    entry_o  <= clear_i ? 16'd0 : word_q[select_q];
  end

endmodule
