// Retires instructions in the order in which they were taken, one a cycle, though two cores
// complete them each in its own time. An instruction that has waited for none retires in the cycle
// after its core's done_i.
module fqbert_retire_order #(
  parameter int unsigned DEPTH = 64
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       take_i,
  input  logic       core_i,  // that takes it
  output logic       ready_o,
  input  logic [1:0] done_i,
  output logic       retire_o
);

  localparam int unsigned COUNT = $clog2(DEPTH + 1);

  // Newest at index 0, so that the oldest is at count - 1: a shift register in LUTs.
  logic [DEPTH-1:0]      cores_q;
  logic [COUNT-1:0]      count_q;
  logic [1:0][COUNT-1:0] done_q; // completed, and not retired
  logic                  oldest, retire;

  assign ready_o = count_q != COUNT'(DEPTH);
  assign oldest  = cores_q[$clog2(DEPTH)'(count_q - 1'b1)];
  assign retire  = count_q != '0 && (done_i[oldest] || done_q[oldest] != '0);

  always_ff @(posedge clk_i) begin
    if (take_i) cores_q <= {cores_q[DEPTH-2:0], core_i};
    if (!rst_ni) begin
      count_q  <= '0;
      done_q   <= '0;
      retire_o <= 1'b0;
    end else begin
      count_q  <= count_q + COUNT'(take_i) - COUNT'(retire);
      retire_o <= retire;
      for (int unsigned c = 0; c < 2; c++) begin
        done_q[c] <= done_q[c] + COUNT'(done_i[c]) - COUNT'(retire && oldest == 1'(c));
      end
    end
  end

endmodule
