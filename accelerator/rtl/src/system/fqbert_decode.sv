// Checks every field of an instruction (the rule of fault ILLEGAL_FIELD, as fqbert-contract's
// `check_operation`) and finds its queue. A pipeline that moves as a whole: one instruction every
// other cycle, seven cycles deep, most of them for the two products of a values destination, whose
// channel tiles take a division by the head size.
module fqbert_decode
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter int unsigned PRESET = 0,
  parameter geometry_t   G = preset(PRESET)
) (
  input  logic       clk_i,
  input  logic       clear_i,
  input  logic       advance_i,

  input  logic       valid_i,
  input  entry_t     entry_i,
  // The program's last instruction, which must be END.
  input  logic       last_i,

  output logic       valid_o,
  output entry_t     entry_o,
  output logic [2:0] queue_o,
  output fault_e     cause_o
);

  localparam int unsigned STAGES = 7;

  localparam int unsigned HALF_PAIRS = G.pairs / 2;
  localparam int unsigned LANE_SHIFT = $clog2(G.lanes);

  // Products with a constant, or of few bits, are sums of shifts: a multiplication would take a
  // DSP48E2 from the array.
  function automatic logic [37:0] times(logic [16:0] v, logic [20:0] factor);
    automatic logic [37:0] sum = '0;
    for (int unsigned i = 0; i < 21; i++) if (factor[i]) sum += 38'(v) << i;
    return sum;
  endfunction

  // floor(v / divisor) for constant divisors: v times the reciprocal, rounded up, over 2^20; exact
  // while v < 2^20 / divisor, which holds for every v used here that can still be legal.
  localparam int unsigned SHIFT = 20;
  function automatic logic [16:0] divide(logic [16:0] v, int unsigned divisor);
    automatic logic [20:0] reciprocal =
      21'((32'd1 << SHIFT) / divisor + ((32'd1 << SHIFT) % divisor == 0 ? 0 : 1));
    return 17'(times(v, reciprocal) >> SHIFT);
  endfunction

  // The same for a divisor of 1..127 that is not constant (half the head size): v < 2^13.
  localparam int unsigned HEAD_SHIFT = 22;
  typedef logic [HEAD_SHIFT:0] reciprocals_t [128];
  function automatic reciprocals_t head_reciprocals();
    reciprocals_t table_;
    table_[0] = '0;
    for (int unsigned d = 1; d < 128; d++) begin
      table_[d] = (HEAD_SHIFT+1)'(((32'd1 << HEAD_SHIFT) + d - 1) / d);
    end
    return table_;
  endfunction
  localparam reciprocals_t RECIPROCALS = head_reciprocals();

  // ---- views of the stages' instructions
  entry_t [STAGES:0] entry_q;
  logic   [STAGES:0] valid_q, last_q;

  matmul_t    [STAGES:0] matmul;
  softmax_t   [STAGES:0] softmax;
  layernorm_t [STAGES:0] layernorm;
  load_t      [STAGES:0] load;
  nop_t       [STAGES:0] nop;
  for (genvar s = 0; s <= STAGES; s++) begin : g_views
    assign matmul[s]    = matmul_t'(entry_q[s].word);
    assign softmax[s]   = softmax_t'(entry_q[s].word);
    assign layernorm[s] = layernorm_t'(entry_q[s].word);
    assign load[s]      = load_t'(entry_q[s].word);
    assign nop[s]       = nop_t'(entry_q[s].word);
  end
  logic unused_views;
  assign unused_views = ^{matmul, softmax, layernorm, load, nop};

  always_ff @(posedge clk_i) begin
    if (clear_i) valid_q <= '0;
    else if (advance_i) valid_q <= {valid_q[STAGES-1:0], valid_i};
    if (advance_i) begin
      entry_q <= {entry_q[STAGES-1:0], entry_i};
      last_q  <= {last_q[STAGES-1:0], last_i};
    end
  end

  // ---- stage 1: ranges of single fields
  logic            unknown_d;
  logic [STAGES:1] unknown_q, illegal_d, illegal_q;
  matmul_t    m0;
  softmax_t   s0;
  layernorm_t n0;
  load_t      l0;
  nop_t       p0;
  assign m0 = matmul[0];
  assign s0 = softmax[0];
  assign n0 = layernorm[0];
  assign l0 = load[0];
  assign p0 = nop[0];
  logic unused_flags;
  assign unused_flags = ^{m0, s0, n0, l0, p0};

  // Memory of a LOAD or STORE: whether it is a target or source, its port, and the class of its
  // word.
  typedef enum logic [1:0] {WORD_ACT, WORD_RESX, WORD_WGT, WORD_BEAT} word_class_e;
  function automatic word_class_e word_class(logic [3:0] memory);
    case (memory)
      MEMORY_ACT: return WORD_ACT;
      MEMORY_RESX: return WORD_RESX;
      MEMORY_WGT0, MEMORY_WGT1, MEMORY_WGT2, MEMORY_WGT3: return WORD_WGT;
      default: return WORD_BEAT;
    endcase
  endfunction
  function automatic logic [16:0] depth_of(logic [3:0] memory);
    case (memory)
      MEMORY_ACT: return 17'(G.act_words);
      MEMORY_RESX: return 17'(G.resx_words);
      MEMORY_WGT0, MEMORY_WGT1, MEMORY_WGT2, MEMORY_WGT3: return 17'(G.wgt_words);
      MEMORY_RNG: return 17'(depth_words(G, MEMORY_RNG));
      MEMORY_PAR: return 17'(G.par_words);
      MEMORY_LNP: return 17'(G.lnp_words);
      MEMORY_EXP: return 17'(depth_words(G, MEMORY_EXP));
      MEMORY_GEL: return 17'(depth_words(G, MEMORY_GEL));
      default: return '0;
    endcase
  endfunction

  logic [2:0] load_port;
  always_comb begin
    load_port = 3'd0;
    if (l0.memory[3:2] == 2'b10) load_port = 3'({30'd0, l0.memory[1:0]} % G.ports);
  end

  logic load_ok, store_ok, nop_ok, matmul_ok, softmax_ok, norm_ok;
  assign nop_ok   = 32'(p0.port) < (p0.engine == ENGINE_LOAD ? G.ports : 32'd1);
  assign load_ok  = depth_of(l0.memory) != '0 && {1'b0, l0.port} == load_port && l0.beats != '0;
  assign store_ok = (l0.memory == MEMORY_ACT || l0.memory == MEMORY_RESX) && l0.beats != '0;
  always_comb begin
    matmul_ok = m0.k_chunks >= 1 && m0.k_chunks <= 512 && m0.row_tiles != 0 && m0.col_tiles != 0
             && m0.dest <= MATMUL_DEST_VALUES
             && (m0.mode8 || (!m0.b_opd && !m0.a_probs)) && (!m0.b_opd || m0.b_slot == 0)
             && (!m0.gelu || m0.dest == MATMUL_DEST_ACT) && (m0.gelu || !m0.table_)
             && !m0.channels[0];
    if (m0.dest == MATMUL_DEST_VALUES) begin
      matmul_ok &= m0.head_dim != 0 && !m0.head_dim[0]
                && !m0.dst_channel[0] && m0.dst_channel[7:0] < m0.head_dim
                && !m0.dst_channel[8] && 32'(m0.dst_channel[15:8]) < G.pairs;
    end else begin
      matmul_ok &= !m0.dst_channel[0] && m0.head_dim == 0;
    end
    if (m0.dest != MATMUL_DEST_VALUES && m0.dest != MATMUL_DEST_KEYS) begin
      matmul_ok &= m0.row_tile0 == 0;
    end
  end
  assign softmax_ok = s0.columns != 0 && s0.columns[LANE_SHIFT-1:0] == '0
                   && 32'(s0.columns) <= G.max_seq
                   && s0.row_tiles != 0 && 32'(s0.row0) % G.rows == 0;
  assign norm_ok = n0.channels >= 8 && n0.channels[2:0] == '0
                && 32'(n0.channels) <= G.max_hidden && n0.row_tiles != 0;

  assign unknown_d = !opcode_known(m0.opcode);
  always_comb begin
    illegal_d[1] = (entry_q[0].word & reserved_bits(m0.opcode)) != '0;
    case (m0.opcode)
      OPCODE_NOP: illegal_d[1] |= !nop_ok;
      OPCODE_LOAD: illegal_d[1] |= !load_ok;
      OPCODE_STORE: illegal_d[1] |= !store_ok;
      OPCODE_END: illegal_d[1] |= !last_q[0];
      OPCODE_MATMUL: illegal_d[1] |= !matmul_ok;
      OPCODE_SOFTMAX: illegal_d[1] |= !softmax_ok;
      OPCODE_LAYERNORM: illegal_d[1] |= !norm_ok;
      default: ;
    endcase
  end

  // Sums that later stages start from.
  logic [13:0] full_q;           // channels of all column tiles
  logic [16:0] last_channel_q;   // one past the last output channel
  logic [16:0] last_token_q;     // one past the last token of keys, values, or rows of a softmax
  logic        one_head_q;       // all channels fall into the first head
  // Pair, from the first tile's first, of the last channel in the first head.
  logic [8:0]  position_q;
  logic [12:0] beyond_q;         // channel pairs past the first head, less one
  logic [12:0] pairs_of_channels;
  logic [7:0]  first_head;
  assign pairs_of_channels = m0.channels[13:1];
  assign first_head = {1'b0, m0.head_dim[7:1]} - {1'b0, m0.dst_channel[7:1]};
  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      full_q         <= 14'(times(17'(m0.col_tiles), 21'(G.pairs)) << (m0.mode8 ? 0 : 1));
      last_channel_q <= 17'(m0.channels) + 17'(m0.dst_channel);
      last_token_q   <= m0.opcode == OPCODE_SOFTMAX
        ? 17'(s0.row0) + 17'(17'(s0.row_tiles) * 17'(G.rows))
        : 17'((17'(m0.row_tile0) + 17'(m0.row_tiles)) * 17'(G.rows));
      one_head_q     <= pairs_of_channels <= 13'(first_head);
      position_q     <= 9'(m0.dst_channel[15:9])
                      + (pairs_of_channels <= 13'(first_head) ? 9'(pairs_of_channels)
                                                              : 9'(first_head)) - 9'd1;
      beyond_q       <= pairs_of_channels - 13'(first_head) - 13'd1;
    end
  end

  // ---- stage 2: products of the source areas, constant divisions
  matmul_t m1;
  load_t   l1;
  assign m1 = matmul[1];
  assign l1 = load[1];
  logic unused_m1;
  assign unused_m1 = ^{m1, l1, softmax[1], layernorm[1]};

  logic [13:0] tile;
  assign tile = m1.mode8 ? 14'(G.pairs) : 14'(2 * G.pairs);
  assign illegal_d[2] = m1.opcode == OPCODE_MATMUL
    && (m1.channels > 16'(full_q) || 17'(m1.channels) + 17'(tile) <= 17'(full_q));

  // The operands: rows (or columns) less one, times the stride.
  logic [7:0]  count_a, count_b;
  logic [15:0] stride_a, stride_b;
  always_comb begin
    count_a  = m1.row_tiles - 8'd1;
    count_b  = m1.col_tiles - 8'd1;
    stride_a = m1.a_stride;
    stride_b = m1.b_stride;
    if (m1.opcode == OPCODE_SOFTMAX) begin
      count_a  = softmax[1].row_tiles - 8'd1;
      count_b  = softmax[1].row_tiles - 8'd1;
      stride_a = softmax[1].src_stride;
      stride_b = softmax[1].dst_stride;
    end else if (m1.opcode == OPCODE_LAYERNORM) begin
      count_a  = layernorm[1].row_tiles - 8'd1;
      count_b  = layernorm[1].row_tiles - 8'd1;
      stride_a = layernorm[1].stride;
      stride_b = layernorm[1].y8_stride;
    end
  end

  // Words of a transfer; more beats than 17 bits hold are more than any memory.
  logic [16:0] transfer_words;
  always_comb begin
    case (word_class(l1.memory))
      WORD_ACT: transfer_words = divide(l1.beats[16:0], word_beats(G, MEMORY_ACT));
      WORD_RESX: transfer_words = divide(l1.beats[16:0], word_beats(G, MEMORY_RESX));
      WORD_WGT: transfer_words = divide(l1.beats[16:0], word_beats(G, MEMORY_WGT0));
      default: transfer_words = l1.beats[16:0];
    endcase
  end

  logic [23:0]         product_a_q, product_b_q;
  logic [16:0]         words_q;
  logic [13:0]         key_tile_q;       // channel tile of the last key
  logic [8:0]          first_tiles_q;    // tiles of the first head, less one
  logic [6:0]          head_tiles_q;     // tiles of a whole head
  logic [HEAD_SHIFT:0] reciprocal_q;
  logic [16:0]         last_channel2_q, last_token2_q;
  logic                one_head2_q;
  logic [12:0]         beyond2_q;
  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      product_a_q     <= count_a * stride_a;
      product_b_q     <= count_b * stride_b;
      words_q         <= transfer_words;
      key_tile_q      <= 14'(divide(last_token_q + 17'(G.pairs - 1), G.pairs) - 17'd1);
      first_tiles_q   <= 9'(divide(17'(position_q), HALF_PAIRS));
      head_tiles_q    <= 7'(divide(17'(m1.head_dim[7:1]) + 17'(HALF_PAIRS - 1), HALF_PAIRS));
      reciprocal_q    <= RECIPROCALS[m1.head_dim[7:1]];
      last_channel2_q <= last_channel_q;
      last_token2_q   <= last_token_q;
      one_head2_q     <= one_head_q;
      beyond2_q       <= beyond_q;
    end
  end

  // ---- stage 3: the areas that are read, and those of the vector engine; whole heads of values
  matmul_t    m2;
  softmax_t   s2;
  layernorm_t n2;
  load_t      l2;
  assign m2 = matmul[2];
  assign s2 = softmax[2];
  assign n2 = layernorm[2];
  assign l2 = load[2];
  logic unused_m2;
  assign unused_m2 = ^{m2, s2, n2, l2};

  // Whether runs of `width` words from `base`, the last of them `span` further, end inside `depth`
  // words.
  function automatic logic inside_memory(
    logic [15:0] base, logic [23:0] span, logic [16:0] width, int unsigned depth
  );
    return 32'(base) + 32'(span) + 32'(width) <= depth;
  endfunction

  logic [20:0] words_beats;
  always_comb begin
    case (word_class(l2.memory))
      WORD_ACT: words_beats = 21'(times(words_q, 21'(word_beats(G, MEMORY_ACT))));
      WORD_RESX: words_beats = 21'(times(words_q, 21'(word_beats(G, MEMORY_RESX))));
      WORD_WGT: words_beats = 21'(times(words_q, 21'(word_beats(G, MEMORY_WGT0))));
      default: words_beats = 21'(words_q);
    endcase
  end

  always_comb begin
    illegal_d[3] = 1'b0;
    case (m2.opcode)
      OPCODE_LOAD, OPCODE_STORE:
        illegal_d[3] = l2.beats[23:17] != '0 || words_beats != 21'(l2.beats)
          || !inside_memory(l2.word_offset, '0, words_q, 32'(depth_of(l2.memory)));
      OPCODE_MATMUL:
        illegal_d[3] = !inside_memory(m2.a_base, product_a_q, 17'(m2.k_chunks),
                                      m2.a_probs ? G.prb_words : G.act_words)
          || !inside_memory(m2.b_base, product_b_q, 17'(m2.k_chunks),
                            m2.b_opd ? G.opd_words : G.wgt_words)
          || !inside_memory(m2.par_base, '0,
                            m2.uniform ? 17'd1 : 17'(m2.channels[15:1]), G.par_words);
      OPCODE_SOFTMAX:
        illegal_d[3] = !inside_memory(s2.src_base, product_a_q, 17'(s2.columns >> 1), G.scr_words)
          || !inside_memory(s2.dst_base, product_b_q, 17'(s2.columns >> LANE_SHIFT), G.prb_words)
          || ((last_token2_q + 17'd3) >> 2) > 17'(depth_words(G, MEMORY_RNG));
      OPCODE_LAYERNORM:
        illegal_d[3] = !inside_memory(n2.x_base, product_a_q, 17'(n2.channels >> 1), G.resx_words)
          || !inside_memory(n2.y16_base, product_a_q, 17'(n2.channels >> 1), G.resx_words)
          || !inside_memory(n2.b_base, product_a_q, 17'(n2.channels >> 1), G.resb_words)
          || !inside_memory(n2.y8_base, product_b_q, 17'(n2.channels >> LANE_SHIFT), G.act_words)
          || !inside_memory(n2.par_base, '0, 17'(n2.channels >> 1) + 17'd2, G.lnp_words);
      default: ;
    endcase
  end

  logic [12:0] heads_q;   // whole heads between the first and the last
  logic [13:0] key_tile3_q;
  logic [8:0]  first_tiles3_q;
  logic [6:0]  head_tiles3_q;
  logic [16:0] last_channel3_q, last_token3_q;
  logic        one_head3_q;
  logic [7:0]  beyond3_q;
  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      heads_q         <= 13'((36'(beyond2_q) * 36'(reciprocal_q)) >> HEAD_SHIFT);
      key_tile3_q     <= key_tile_q;
      first_tiles3_q  <= first_tiles_q;
      head_tiles3_q   <= head_tiles_q;
      last_channel3_q <= last_channel2_q;
      last_token3_q   <= last_token2_q;
      one_head3_q     <= one_head2_q;
      beyond3_q       <= beyond2_q[7:0];
    end
  end

  // ---- stages 4 and 5: channel tiles of values
  logic [7:0]  in_last_head;   // channel pairs in the last head
  logic [7:0]  last_head_q;
  logic [13:0] whole_tiles_q;
  logic [8:0]  first_tiles4_q;
  logic [13:0] key_tile4_q, run_count_q;
  logic        one_head4_q;
  logic [16:0] end4_q, end5_q; // words of a run that are touched, counted from its base
  assign in_last_head = beyond3_q - 8'(heads_q * 13'(matmul[3].head_dim[7:1])) + 8'd1;
  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      last_head_q    <= in_last_head;
      whole_tiles_q  <= 14'(times(17'(heads_q), 21'(head_tiles3_q)));
      first_tiles4_q <= first_tiles3_q;
      key_tile4_q    <= key_tile3_q;
      one_head4_q    <= one_head3_q;
      case (matmul[3].dest)
        MATMUL_DEST_ACT, MATMUL_DEST_KEYS:
          end4_q <= (last_channel3_q + 17'(G.lanes - 1)) >> LANE_SHIFT;
        MATMUL_DEST_VALUES: end4_q <= (last_token3_q + 17'(G.lanes - 1)) >> LANE_SHIFT;
        default: end4_q <= last_channel3_q >> 1;
      endcase

      end5_q <= end4_q;
      case (matmul[4].dest)
        MATMUL_DEST_KEYS: run_count_q <= key_tile4_q;
        MATMUL_DEST_VALUES:
          run_count_q <= one_head4_q
            ? 14'(first_tiles4_q)
            : 14'(first_tiles4_q) + whole_tiles_q
              + 14'(divide(17'(last_head_q) + 17'(HALF_PAIRS - 1), HALF_PAIRS));
        default: run_count_q <= 14'(matmul[4].row_tiles) - 14'd1;
      endcase
    end
  end
  assign illegal_d[4] = 1'b0;
  assign illegal_d[5] = 1'b0;

  // ---- stages 6 and 7: the area that is written
  logic [29:0] product_d_q;
  logic [16:0] end6_q;
  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      product_d_q <= run_count_q * matmul[5].dst_stride;
      end6_q      <= end5_q;
    end
  end
  assign illegal_d[6] = 1'b0;

  logic [16:0] dst_depth;
  always_comb begin
    case (matmul[6].dest)
      MATMUL_DEST_ACT: dst_depth = 17'(G.act_words);
      MATMUL_DEST_RESB: dst_depth = 17'(G.resb_words);
      MATMUL_DEST_SCR: dst_depth = 17'(G.scr_words);
      default: dst_depth = 17'(G.opd_words);
    endcase
  end
  assign illegal_d[7] = matmul[6].opcode == OPCODE_MATMUL
    && 32'(matmul[6].dst_base) + 32'(product_d_q) + 32'(end6_q) > 32'(dst_depth);

  always_ff @(posedge clk_i) begin
    if (advance_i) begin
      unknown_q <= {unknown_q[STAGES-1:1], unknown_d};
      illegal_q <= illegal_d | {illegal_q[STAGES-1:1], 1'b0};
    end
  end

  // ---- out
  assign valid_o = valid_q[STAGES];
  assign entry_o = entry_q[STAGES];
  always_comb begin
    cause_o = FAULT_NONE;
    if (unknown_q[STAGES]) cause_o = FAULT_ILLEGAL_OPCODE;
    else if (illegal_q[STAGES]) cause_o = FAULT_ILLEGAL_FIELD;
    else if (last_q[STAGES] && matmul[STAGES].opcode != OPCODE_END) cause_o = FAULT_NO_END;
  end

  always_comb begin
    queue_o = 3'(QUEUE_STORE);
    case (matmul[STAGES].opcode)
      OPCODE_LOAD: queue_o = {1'b0, load[STAGES].port};
      OPCODE_MATMUL: queue_o = 3'(QUEUE_MATRIX);
      OPCODE_SOFTMAX, OPCODE_LAYERNORM: queue_o = 3'(QUEUE_VECTOR);
      OPCODE_NOP: begin
        case (nop[STAGES].engine)
          ENGINE_LOAD: queue_o = {1'b0, nop[STAGES].port};
          ENGINE_MATRIX: queue_o = 3'(QUEUE_MATRIX);
          ENGINE_VECTOR: queue_o = 3'(QUEUE_VECTOR);
          default: ;
        endcase
      end
      default: ;
    endcase
  end

endmodule
