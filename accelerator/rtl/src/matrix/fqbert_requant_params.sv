// The requantization parameters of a step's two channels, from the word of PAR that holds them,
// spread over the cycles in which the lanes want them. Shifts outside 1..40 become legal ones as
// docs/numerics.md (section 3) says.
module fqbert_requant_params (
  input  logic             clk_i,
  input  logic             uniform_i,    // with the word: both channels take its first record
  input  logic [127:0]     word_i,
  output logic [1:0][31:0] bias_o,       // 1 cycle after the word
  output logic [1:0][15:0] multiplier_o, // 1 cycle
  output logic [1:0][47:0] rounding_o,   // 2 cycles: 2^(shift - 1)
  output logic [1:0][5:0]  shift_o       // 4 cycles
);

  for (genvar n = 0; n < 2; n++) begin : gen_channel
    logic [63:0] record; // bias i32, multiplier u16, shift u8, zero u8
    logic [5:0]  stored, shift_q, shift2_q, shift3_q;
    assign record = (n == 1 && !uniform_i) ? word_i[127:64] : word_i[63:0];
    assign stored = record[53:48];
    always_ff @(posedge clk_i) begin
      bias_o[n]       <= record[31:0];
      multiplier_o[n] <= record[47:32];
      shift_q         <= stored == 6'd0 ? 6'd1 : stored > 6'd40 ? 6'd40 : stored;
      rounding_o[n]   <= 48'd1 << (shift_q - 6'd1);
      shift2_q        <= shift_q;
      shift3_q        <= shift2_q;
      shift_o[n]      <= shift3_q;
    end
    logic unused_record;
    assign unused_record = ^record[63:54];
  end

endmodule
