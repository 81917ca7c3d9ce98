import TestSupport

/// A small model file made from a seed: sound in most places, hostile in some.
///
/// The changes are made where a byte-wise mutation rarely gets: at one value of the metadata, one entry of a tokenizer's
/// table, the type or shape of one tensor, the scales inside its blocks.
struct HostileModel {
    private(set) var bytes: [UInt8] = []
    /// What was done to it, for the report.
    private(set) var changes: [String] = []
    private var random: SeededRandom

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        var writer = soundModel()
        for _ in 0..<pick([1, 1, 1, 2, 3, 4]) { change(&writer) }
        bytes = writer.bytes()
        if chance(4) { damageBytes(headerBytes: writer.header().count) }
    }

    private mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    private mutating func note(_ change: String) { changes.append(change) }

    // MARK: Sound models

    private mutating func soundModel() -> GGUFWriter {
        var shape = Shape(architecture: pick(["llama", "qwen2", "qwen3", "qwen3moe"]))
        let usesByteLevel = chance(2)
        shape.vocabulary = usesByteLevel ? 256 + Self.merges.count : TinyModel.vocabularySize
        shape.isQuantised = chance(2)
        note("\(shape.architecture), \(usesByteLevel ? "byte-level" : "SentencePiece")")
        // The vocabulary of the tiny model, and what its template needs, are kept.
        var writer = usesByteLevel ? GGUFWriter() : TinyModel().writer()
        writer.metadata.removeAll { $0.key.hasPrefix("llama.") }
        writer.tensors = []
        writer.set("general.architecture", .string(shape.architecture))
        for (key, value) in shape.parameters { writer.set("\(shape.architecture).\(key)", value) }
        if usesByteLevel { writeByteLevelVocabulary(to: &writer) }
        for (name, dimensions) in shape.tensors { addTensor(name, dimensions, to: &writer, shape: shape) }
        return writer
    }

    private static let merges = ["t h", "th e", "Ġ t", "Ġt h", "Ġth e", "a n", "Ġ a"]

    private mutating func writeByteLevelVocabulary(to writer: inout GGUFWriter) {
        var next: UInt32 = 0x100
        let alphabet = (0..<256).map { byte -> String in
            if (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174 {
                return String(Character(Unicode.Scalar(UInt8(byte))))
            }
            defer { next += 1 }
            return Unicode.Scalar(next).map { String(Character($0)) } ?? ""
        }
        let merged = Self.merges.map { $0.filter { $0 != " " } }
        writer.set("tokenizer.ggml.model", .string("gpt2"))
        writer.set("tokenizer.ggml.pre", .string(pick(["qwen2", "llama-bpe", "gpt-2", "deepseek-v3", "tekken"])))
        writer.set("tokenizer.ggml.tokens", .strings(alphabet + merged))
        writer.set("tokenizer.ggml.token_type", .integers(Array(repeating: 1, count: alphabet.count + merged.count)))
        writer.set("tokenizer.ggml.merges", .strings(Self.merges))
        writer.set("tokenizer.ggml.eos_token_id", .uint32(0))
        writer.set("tokenizer.chat_template", .string(TinyModel.template))
    }

    private mutating func addTensor(_ name: String, _ dimensions: [Int], to writer: inout GGUFWriter, shape: Shape) {
        let isMatrix = dimensions.count > 1
        let type = isMatrix && shape.isQuantised ? pick(TensorForm.all) : TensorForm.f32
        let count = dimensions.reduce(1, *) / type.elements * type.bytes
        let pattern: [UInt8] =
            if type.number != 0 {
                blockBytes()
            } else if isMatrix {
                (0..<61).flatMap { _ in littleEndian(Float.random(in: -0.5...0.5, using: &random).bitPattern) }
            } else {
                littleEndian(Float(1).bitPattern)
            }
        writer.add(name, type: type.number, dimensions: dimensions, data: Self.repeated(pattern, count: count))
    }

    /// Any bytes are blocks, but random ones mostly hold an infinite scale somewhere, and such a file is refused.
    private mutating func blockBytes() -> [UInt8] {
        let isWild = chance(8)
        return (0..<1021).map { _ in
            isWild ? UInt8(truncatingIfNeeded: random.next()) : pick([0, 0x11, 0x1F, 0x2C, 0x30])
        }
    }

    private static func repeated(_ pattern: [UInt8], count: Int) -> [UInt8] {
        var bytes = pattern
        while bytes.count < count { bytes += bytes }
        return Array(bytes.prefix(count))
    }

    // MARK: Changes

    private mutating func change(_ writer: inout GGUFWriter) {
        switch Int.random(in: 0..<12, using: &random) {
        case 0...3: changeValue(&writer)
        case 4: writer.metadata.remove(at: Int.random(in: 0..<writer.metadata.count, using: &random))
        case 5:
            let template = pick(Self.templates)
            note("template \(template.prefix(40))")
            writer.set("tokenizer.chat_template", .string(template))
        case 6: setKey(&writer)
        case 7: changeShape(&writer)
        case 8: changePlace(&writer)
        default: changeData(&writer)
        }
    }

    private mutating func changeValue(_ writer: inout GGUFWriter) {
        let place = Int.random(in: 0..<writer.metadata.count, using: &random)
        let (key, value) = writer.metadata[place]
        let new = changed(value)
        note("\(key) = \(String(describing: new).prefix(60))")
        writer.metadata[place].value = new
    }

    private mutating func changed(_ value: GGUFWriter.Value) -> GGUFWriter.Value {
        switch value {
        case .array(let elements, let emptyType): changed(elements, emptyType)
        case .string, .bytes:
            pick([
                .bytes([0xFF, 0xFE, 0x80]), .string(""), .string(String(repeating: "x", count: 70_000)), .bytes([0]),
                .uint32(1), .string("\u{10FFFF}"),
            ])
        default: number()
        }
    }

    private mutating func number() -> GGUFWriter.Value {
        let integers: [UInt64] = [
            0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 511, 512, 1024, 65_535, 65_536,
            131_072,
            1 << 20, 1 << 24, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 62, 1 << 63, .max,
        ]
        let integer = pick(integers)
        return switch Int.random(in: 0..<8, using: &random) {
        case 0...3: .uint32(UInt32(truncatingIfNeeded: integer))
        case 4: .uint64(integer)
        case 5: .int32(Int32(truncatingIfNeeded: integer))
        case 6:
            .float32(
                pick([
                    .nan, .infinity, -.infinity, 0, -0.0, -1, .leastNonzeroMagnitude, 1e-30, 1e-5, 1, 2, 1e4, 1e30,
                    3e38,
                ]))
        default: .bool(chance(2))
        }
    }

    private mutating func changed(_ elements: [GGUFWriter.Value], _ emptyType: UInt32) -> GGUFWriter.Value {
        var elements = elements
        switch Int.random(in: 0..<6, using: &random) {
        case 0: elements.removeLast(Int.random(in: 0...elements.count, using: &random))
        case 1 where !elements.isEmpty: elements += Array(elements.prefix(Int.random(in: 1...300, using: &random)))
        case 2: return .array([], emptyType: pick([0, 4, 5, 6, 8, 9]))
        default:
            guard let first = elements.first else { break }
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                elements[Int.random(in: 0..<elements.count, using: &random)] = hostileElement(like: first)
            }
        }
        return .array(elements, emptyType: emptyType)
    }

    private mutating func hostileElement(like element: GGUFWriter.Value) -> GGUFWriter.Value {
        switch element {
        case .string, .bytes:
            pick([
                .string(""), .string(" "), .string("a"), .string("a b c"), .string("t h"), .bytes([0xFF]),
                .bytes([0, 0]),
                .string("<0xZZ>"), .string("<0x41>"), .string(String(repeating: "ab", count: 40_000)), .string("▁▁▁"),
                .string("Ġ"), .string("\u{300}\u{300}"), .bytes([0xED, 0xA0, 0x80]),
            ])
        case .float32: .float32(pick([.nan, .infinity, -.infinity, 3e38, -3e38, 0]))
        case .int32: .int32(pick([0, 1, 2, 3, 4, 5, 6, 7, -1, .min, .max]))
        default: element
        }
    }

    /// Sets a key that the model may not have.
    private mutating func setKey(_ writer: inout GGUFWriter) {
        let name = pick([
            "rope.freq_base", "rope.scaling.factor", "rope.scaling.type", "rope.scaling.original_context_length",
            "rope.scaling.attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
            "attention.sliding_window", "attention.key_length", "rope.dimension_count", "expert_count",
            "expert_used_count", "vocab_size",
        ])
        let architectures = ["llama", "qwen2", "qwen3", "qwen3moe"]
        let architecture = architectures.first { name in
            writer.metadata.contains { $0.key.hasPrefix(name + ".") }
        }
        let key = (architecture ?? "llama") + "." + name
        let value: GGUFWriter.Value =
            name.hasSuffix("type") ? .string(pick(["yarn", "linear", "none", "su"])) : number()
        note("\(key) = \(value)")
        writer.set(key, value)
        if chance(3) { writer.set((architecture ?? "llama") + ".rope.scaling.type", .string("yarn")) }
        if chance(4) { writer.set("general.alignment", number()) }
        if chance(4) { writer.set("tokenizer.ggml.\(pick(["bos", "eos", "unknown", "eot"]))_token_id", number()) }
    }

    private mutating func changeShape(_ writer: inout GGUFWriter) {
        guard !writer.tensors.isEmpty else { return }
        let place = Int.random(in: 0..<writer.tensors.count, using: &random)
        let sizes: [UInt64] = [0, 1, 2, 3, 31, 32, 255, 256, 257, 1 << 20, 1 << 32, 1 << 62, .max]
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            guard !writer.tensors[place].dimensions.isEmpty else { return }
            let axis = Int.random(in: 0..<writer.tensors[place].dimensions.count, using: &random)
            writer.tensors[place].dimensions[axis] = pick(sizes)
        case 1: writer.tensors[place].dimensions.append(pick(sizes))
        case 2: writer.tensors[place].dimensions.reverse()
        default: writer.tensors[place].type = UInt32.random(in: 0..<42, using: &random)
        }
        let tensor = writer.tensors[place]
        note("\(tensor.name): type \(tensor.type), \(tensor.dimensions)")
    }

    private mutating func changePlace(_ writer: inout GGUFWriter) {
        guard !writer.tensors.isEmpty else { return }
        let place = Int.random(in: 0..<writer.tensors.count, using: &random)
        note("\(writer.tensors[place].name) moved, renamed or removed")
        switch Int.random(in: 0..<4, using: &random) {
        case 0: writer.tensors[place].offset = pick([0, 1, 32, 1 << 20, 1 << 40, 1 << 63, .max, .max - 31])
        case 1: writer.tensors[place].name = pick(["", "output.weight", "blk.0.attn_q.bias", "rope_freqs.weight"])
        case 2: writer.tensors.append(writer.tensors[place])
        default: writer.tensors.remove(at: place)
        }
    }

    private mutating func changeData(_ writer: inout GGUFWriter) {
        guard !writer.tensors.isEmpty else { return }
        let place = Int.random(in: 0..<writer.tensors.count, using: &random)
        let count = writer.tensors[place].data.count
        guard count > 0 else { return }
        note("\(writer.tensors[place].name): other bytes")
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            // NaN as F32, F16 and BF16, and the largest of every field of a block.
            writer.tensors[place].data = Array(repeating: 0xFF, count: count)
        case 1:
            let pattern = littleEndian(
                pick([Float.infinity, -.infinity, .nan, 3e38, .leastNonzeroMagnitude, 0]).bitPattern)
            let start = Int.random(in: 0..<count, using: &random)
            let end = chance(2) ? count : min(count, start + 64)
            for index in start..<end { writer.tensors[place].data[index] = pattern[index % 4] }
        case 2: writer.tensors[place].data.removeLast(Int.random(in: 0...count, using: &random))
        default:
            for _ in 0..<16 {
                let index = Int.random(in: 0..<count, using: &random)
                writer.tensors[place].data[index] = UInt8(truncatingIfNeeded: random.next())
            }
        }
    }

    /// Bytes as a bad disk would have them, mostly where the structure is.
    private mutating func damageBytes(headerBytes: Int) {
        note("damaged bytes")
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let end = chance(8) ? bytes.count : min(headerBytes, bytes.count)
            let index = Int.random(in: 0..<max(1, end), using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: for offset in index..<min(index + 8, bytes.count) { bytes[offset] = 0xFF }
            default: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            }
        }
    }

    private static let templates = [
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        String(repeating: "{% if true %}", count: 500), String(repeating: "(", count: 5000),
        "{{ " + String(repeating: "[", count: 3000), "{{ 'x' * 1000000000 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(a='x') %}"
            + String(repeating: "{% set ns.a = ns.a + ns.a %}", count: 40) + "{{ ns.a }}",
        "{{ messages[99999999999999999999] }}", "{{ 1 // 0 }}{{ 1 % 0 }}", "{{ -9223372036854775808 // -1 }}",
        "{{ 9223372036854775807 + 1 }}", "{{ 2 ** 100000 }}", "{{ raise_exception('no') }}",
        "{{ 'abc'[::0] }}{{ 'abc'[-99999999999:99999999999:-1] }}", "{{ '%999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}", "{{ messages | tojson(indent=999999999) }}",
        "{{ 'a,b' | replace('', 'xxxxxxxxxx') }}", "\u{0}", "{%", "{{", "{#", "{% endfor %}",
        "{{ strftime_now('%Y' * 100000) }}", "{{ range(9223372036854775807) | length }}",
        "{{ 'x'.center(1000000000) }}",
        "{{ (-9223372036854775807 - 1) % -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1)|abs }}",
        "{{ 'abc'[::-9223372036854775808] }}", "{{ [1,2][9223372036854775807:] }}", "{{ [1] * 9223372036854775807 }}",
        "{{ range(-9223372036854775808, 9223372036854775807, 9223372036854775807) | list }}", "{{ 1e400 | int }}",
        "{{ 1.5 | round(-9223372036854775808) }}", "{{ (1e308 * 10) | round(400) }}", "{{ 'a' | truncate(-1) }}",
        "{{ 'x' | indent(9223372036854775807) }}", "{{ messages | batch(0) | list }}",
        "{{ messages | slice(0) | list }}",
        "{{ 'a b'.split(none, -9223372036854775808) }}", "{{ 'a'.split('') }}", "{{ [] | max }}{{ '' | first }}",
        "{{ [1,2,3] | sort(attribute='a.b.c') }}", "{{ messages | map(attribute='content') | join('x' * 100000000) }}",
    ]
}

/// How a tensor type stores its elements: blocks of so many in so many bytes.
private struct TensorForm {
    let number: UInt32
    let elements: Int
    let bytes: Int

    static let f32 = TensorForm(number: 0, elements: 1, bytes: 4)

    /// F32, F16, BF16, Q4_0 to Q8_0, the K types, IQ4_NL and IQ4_XS.
    static let all =
        [f32]
        + [
            (1, 1, 2), (30, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (10, 256, 84),
            (11, 256, 110), (12, 256, 144), (13, 256, 176), (14, 256, 210), (20, 32, 18), (23, 256, 136),
        ].map { TensorForm(number: $0.0, elements: $0.1, bytes: $0.2) }
}

/// The tensors and hyper-parameters of a decoder of one layer.
private struct Shape {
    var architecture: String
    var vocabulary = 0
    /// Widths fit the largest blocks, of 256 elements.
    var isQuantised = false

    private var width: Int { isQuantised ? 256 : 32 }
    private var headDimension: Int { width / 4 }
    private let heads = 4
    private let keyValueHeads = 2
    private let experts = 3

    init(architecture: String) { self.architecture = architecture }

    private var mixesExperts: Bool { architecture == "qwen3moe" }

    var parameters: [(String, GGUFWriter.Value)] {
        var integers = [
            ("context_length", 128), ("embedding_length", width), ("block_count", 1), ("feed_forward_length", width),
            ("attention.head_count", heads), ("attention.head_count_kv", keyValueHeads),
            ("attention.key_length", headDimension), ("attention.value_length", headDimension),
            ("rope.dimension_count", headDimension),
        ]
        if mixesExperts {
            integers += [("expert_count", experts), ("expert_used_count", 2), ("expert_feed_forward_length", width)]
        }
        return integers.map { ($0.0, .uint32(UInt32($0.1))) } + [
            ("attention.layer_norm_rms_epsilon", .float32(1e-5)), ("rope.freq_base", .float32(10_000)),
        ]
    }

    var tensors: [(String, [Int])] {
        let keyWidth = keyValueHeads * headDimension
        var list = [("token_embd.weight", [width, vocabulary])]
        func block(_ name: String, _ dimensions: [Int]) { list.append(("blk.0." + name, dimensions)) }
        block("attn_norm.weight", [width])
        for (name, rows) in [("attn_q", width), ("attn_k", keyWidth), ("attn_v", keyWidth)] {
            block(name + ".weight", [width, rows])
            if architecture == "qwen2" { block(name + ".bias", [rows]) }
        }
        if architecture.hasPrefix("qwen3") {
            block("attn_q_norm.weight", [headDimension])
            block("attn_k_norm.weight", [headDimension])
        }
        block("attn_output.weight", [width, width])
        block("ffn_norm.weight", [width])
        if mixesExperts { block("ffn_gate_inp.weight", [width, experts]) }
        for name in ["ffn_gate", "ffn_up", "ffn_down"] {
            if mixesExperts {
                block(name + "_exps.weight", [width, width, experts])
            } else {
                block(name + ".weight", [width, width])
            }
        }
        list.append(("output_norm.weight", [width]))
        list.append(("output.weight", [width, vocabulary]))
        return list
    }
}
