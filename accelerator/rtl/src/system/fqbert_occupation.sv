// How long a transfer occupies its engine: a cycle for each beat and one for the start, however
// early or late the memory answers.
module fqbert_occupation (
  input  logic        clk_i,
  input  logic        run_i,
  input  logic        start_i,
  input  logic [23:0] beats_i,
  output logic        free_o
);

  logic [24:0] left_q;
  assign free_o = left_q == '0;

  always_ff @(posedge clk_i) begin
    if (!run_i) left_q <= '0;
    else if (start_i) left_q <= 25'(beats_i) + 25'd1;
    else if (!free_o) left_q <= left_q - 25'd1;
  end

endmodule
