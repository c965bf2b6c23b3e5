// A dot product of LANES terms a cycle for one token and one channel pair, the paper's PE: a chain
// of packed slices whose last one accumulates. Lane l takes its operands l cycles after lane 0, so
// that PCIN meets the product of the same chunk.
module fqbert_cascade #(
  parameter int unsigned LANES = 8
) (
  input  logic                   clk_i,
  input  logic [LANES-1:0][8:0]  a_i,
  input  logic [LANES-1:0][4:0]  w_lo_i,
  input  logic [LANES-1:0][3:0]  w_hi_i,
  input  logic                   accumulate_i, // two cycles after the last lane's operands
  output logic [47:0]            p_o
);

  logic [LANES-1:0][47:0] chain;
  logic [LANES-1:0][47:0] sums;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    fqbert_dsp_packed #(
      .CASCADED  (l > 0),
      .ACCUMULATE(l == LANES - 1)
    ) u_slice (
      .clk_i,
      .a_i         (a_i[l]),
      .w_lo_i      (w_lo_i[l]),
      .w_hi_i      (w_hi_i[l]),
      .accumulate_i,
      .pcin_i      (l > 0 ? chain[(l + LANES - 1) % LANES] : 48'b0),
      .pcout_o     (chain[l]),
      .p_o         (sums[l])
    );
  end

  // Only the last sum leaves the chain, and its cascade output goes nowhere.
  logic unused_sums;
  assign unused_sums = ^{sums[LANES-2:0], chain[LANES-1]};
  assign p_o = sums[LANES-1];

endmodule
