// The counters that the registers show of a unit. They begin anew with a run and hold after it.
module fqbert_unit_counters (
  input  logic        clk_i,
  input  logic        run_i,
  input  logic        clear_i,
  input  logic [1:0]  busy_i, // cycles
  input  logic        stall_i,
  input  logic        retired_i,
  output logic [31:0] busy_o,
  output logic [31:0] stall_o,
  output logic [31:0] retired_o
);

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      busy_o    <= '0;
      stall_o   <= '0;
      retired_o <= '0;
    end else if (run_i) begin
      busy_o    <= busy_o + 32'(busy_i);
      stall_o   <= stall_o + 32'(stall_i);
      retired_o <= retired_o + 32'(retired_i);
    end
  end

endmodule
