// A vector some cycles later, without reset: a shift register that maps to SRLs. CYCLES may be 0,
// which is a wire.
module fqbert_delay #(
  parameter int unsigned WIDTH  = 1,
  parameter int unsigned CYCLES = 1
) (
  input  logic             clk_i,
  input  logic [WIDTH-1:0] data_i,
  output logic [WIDTH-1:0] data_o
);

  if (CYCLES == 0) begin : gen_wire
    logic unused_clock;
    assign unused_clock = clk_i;
    assign data_o = data_i;
  end else begin : gen_registers
    logic [CYCLES-1:0][WIDTH-1:0] stages_q;
    always_ff @(posedge clk_i) begin
      stages_q[0] <= data_i;
      for (int unsigned i = 1; i < CYCLES; i++) stages_q[i] <= stages_q[i-1];
    end
    assign data_o = stages_q[CYCLES-1];
  end

endmodule
