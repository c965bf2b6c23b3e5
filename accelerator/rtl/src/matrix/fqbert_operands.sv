// Chooses a chunk's operands among the memories and hands them to the array two cycles after the
// memories gave them. One register stage is for the choice, one for the way to all rows and pairs.
module fqbert_operands
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                                                      clk_i,
  input  source_t                                                   source_i, // with the data
  input  logic [ROWS-1:0][LANES-1:0][7:0]                           act_i,
  input  logic [ROWS-1:0][LANES-1:0][7:0]                           prb_i,
  input  logic [fqbert_pkg::WEIGHT_SLOTS-1:0][PAIRS*LANES*8-1:0]    wgt_i,
  input  logic [PAIRS-1:0][LANES-1:0][7:0]                          opd_i,
  output logic [ROWS-1:0][LANES-1:0][7:0]                           a_o,
  output logic [PAIRS-1:0][LANES-1:0][7:0]                          b_o
);

  logic [ROWS-1:0][LANES-1:0][7:0]  a_q;
  logic [PAIRS-1:0][LANES-1:0][7:0] b_q;

  always_ff @(posedge clk_i) begin
    a_q <= source_i.a_probs ? prb_i : act_i;
    b_q <= source_i.b_opd ? opd_i : wgt_i[source_i.b_slot];
    a_o <= a_q;
    b_o <= b_q;
  end

  logic unused_mode;
  assign unused_mode = source_i.mode8;

endmodule
