// A marker some cycles later, cleared by reset: for flags that start something at the end of a
// pipeline. Data that travels with a marker takes fqbert_delay of the same length.
module fqbert_marker_delay #(
  parameter int unsigned WIDTH  = 1,
  parameter int unsigned CYCLES = 1
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [WIDTH-1:0] marker_i,
  output logic [WIDTH-1:0] marker_o
);

  logic [CYCLES-1:0][WIDTH-1:0] stages_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      stages_q <= '0;
    end else begin
      stages_q[0] <= marker_i;
      for (int unsigned i = 1; i < CYCLES; i++) stages_q[i] <= stages_q[i-1];
    end
  end

  assign marker_o = stages_q[CYCLES-1];

endmodule
