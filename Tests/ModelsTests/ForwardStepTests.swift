import ModelFiles
import Models
import Synchronization
import Tensors
import TestSupport
import Testing

@Suite struct ForwardStepTests {
    private func runner(slots: Int = 2, positions: Int = 32, rows: Int = 8) throws -> DecoderRunner {
        try DecoderRunner(
            try read(try TinyDecoder.named("llama").gguf()), slots: slots, positions: positions, rows: rows)
    }

    private func row(_ token: Int32, _ position: Int32, _ sequence: Int32, logits: Bool = true) -> ForwardRow {
        ForwardRow(token: token, position: position, sequence: sequence, wantsLogits: logits)
    }

    @Test func `Only rows that want logits get them`() throws {
        let runner = try runner()
        let rows = [row(1, 0, 0, logits: false), row(2, 1, 0), row(3, 0, 1, logits: false), row(4, 1, 1)]
        let step = ForwardStep(rows: rows, blockTables: runner.tables)
        try runner.model.forward(step, cache: runner.cache, workspace: runner.workspace, pool: runner.pool)
        #expect((0..<6).map { runner.workspace.logits(row: $0)?.count } == [nil, 23, nil, 23, nil, nil])
    }

    @Test func `A cancelled sequence is dropped at the next layer and the others do not notice`() throws {
        let alone = try runner().step([row(5, 0, 1), row(6, 1, 1)])
        let runner = try runner()
        let asked = Mutex<[Int32]>([])
        let rows = [row(1, 0, 0), row(2, 1, 0), row(5, 0, 1), row(6, 1, 1)]
        let step = ForwardStep(rows: rows, blockTables: runner.tables) { sequence in
            // Sequence 0 is cancelled while the first layer is computed.
            asked.withLock {
                $0.append(sequence)
                return sequence == 0 && $0.count > 2
            }
        }
        try runner.model.forward(step, cache: runner.cache, workspace: runner.workspace, pool: runner.pool)
        #expect(asked.withLock { $0 } == [0, 1, 0, 1])
        #expect(runner.workspace.logits(row: 0) == nil && runner.workspace.logits(row: 1) == nil)
        let logits = try [2, 3].map { Array(try #require(runner.workspace.logits(row: $0))) }
        #expect(bits(logits) == bits(alone))
    }

    @Test func `A step whose sequences are all cancelled ends at once`() throws {
        let runner = try runner()
        let asked = Atomic<Int>(0)
        let step = ForwardStep(rows: [row(1, 0, 0), row(2, 0, 1)], blockTables: runner.tables) { _ in
            asked.add(1, ordering: .relaxed)
            return true
        }
        try runner.model.forward(step, cache: runner.cache, workspace: runner.workspace, pool: runner.pool)
        #expect(asked.load(ordering: .relaxed) == 2)
        #expect(runner.workspace.logits(row: 0) == nil && runner.workspace.logits(row: 1) == nil)
    }

    @Test func `Layers that do not follow are refused, and those of a cancelled sequence are forgotten`() throws {
        let runner = try runner()
        let layers = runner.model.configuration.layerCount
        func forward(_ rows: [ForwardRow], _ layered: LayeredRows, isCancelled: Bool = false) throws {
            try runner.forward(
                ForwardStep(rows: rows, blockTables: runner.tables, layered: layered) { _ in isCancelled })
        }
        let prompt = [row(1, 0, 0), row(2, 1, 0)]
        let (first, last) = (LayeredRows(count: 2, layers: 0..<1), LayeredRows(count: 2, layers: 1..<layers))
        let refused: [([ForwardRow], LayeredRows)] = [
            (prompt, last), (prompt, LayeredRows(count: 3, layers: 0..<1)),
            (prompt, LayeredRows(count: 0, layers: 0..<1)),
            (prompt, LayeredRows(count: 2, layers: 0..<layers + 1)), (prompt, LayeredRows(count: 2, layers: 1..<1)),
            ([row(1, 0, 0), row(2, 0, 1)], first),
        ]
        for (rows, layered) in refused {
            #expect(throws: ForwardError.layersOutOfOrder(layered)) { try forward(rows, layered) }
        }
        try forward(prompt, first)
        // Other rows than those that were kept.
        #expect(throws: ForwardError.layersOutOfOrder(last)) { try forward([row(1, 0, 1), row(2, 1, 1)], last) }
        try forward(prompt, last)
        #expect(throws: ForwardError.layersOutOfOrder(last)) { try forward(prompt, last) }
        try forward(prompt, first, isCancelled: true)
        #expect(throws: ForwardError.layersOutOfOrder(last)) { try forward(prompt, last) }
    }

    @Test func `A step goes on for layered rows when all others were cancelled`() throws {
        let alone = try runner().step([row(5, 0, 1), row(6, 1, 1)])
        let runner = try runner()
        let layers = runner.model.configuration.layerCount
        let prompt = [row(5, 0, 1), row(6, 1, 1)]
        try runner.forward(
            ForwardStep(
                rows: prompt, blockTables: runner.tables, layered: LayeredRows(count: 2, layers: 0..<layers - 1)))
        try runner.forward(
            ForwardStep(
                rows: [row(1, 0, 0)] + prompt, blockTables: runner.tables,
                layered: LayeredRows(count: 2, layers: layers - 1..<layers)
            ) { $0 == 0 })
        #expect(runner.workspace.logits(row: 0) == nil)
        #expect(bits(try [1, 2].map { Array(try #require(runner.workspace.logits(row: $0))) }) == bits(alone))
    }

    @Test func `An empty step is allowed`() throws {
        #expect(try runner().step([]).isEmpty)
    }

    @Test func `A step that cannot be computed is refused`() throws {
        let runner = try runner()
        let many = (0..<9).map { row(1, Int32($0), 1) }
        let refused: [(rows: [ForwardRow], error: ForwardError)] = [
            (many, .tooManyRows(count: 9, limit: 8)),
            ([row(23, 2, 0)], .tokenOutOfRange(token: 23, vocabularySize: 23)),
            ([row(-1, 2, 0)], .tokenOutOfRange(token: -1, vocabularySize: 23)),
            ([row(1, 0, 2)], .sequenceOutOfRange(sequence: 2, tables: 2)),
            ([row(1, 0, -1)], .sequenceOutOfRange(sequence: -1, tables: 2)),
            ([row(1, -1, 0)], .positionOutOfRange(position: -1, expected: nil, limit: 32)),
            ([row(1, 32, 0)], .positionOutOfRange(position: 32, expected: nil, limit: 32)),
            ([row(1, 2, 0), row(1, 2, 0)], .positionOutOfRange(position: 2, expected: 3, limit: 32)),
            ([row(1, 2, 0), row(1, 4, 0)], .positionOutOfRange(position: 4, expected: 3, limit: 32)),
            ([row(1, 31, 0), row(1, 32, 0)], .positionOutOfRange(position: 32, expected: 32, limit: 32)),
            // Rows of a sequence that do not lie side by side.
            ([row(1, 2, 0), row(1, 0, 1), row(1, 3, 0)], .positionOutOfRange(position: 3, expected: nil, limit: 32)),
        ]
        for (rows, error) in refused {
            #expect(throws: error) { try runner.step(rows) }
        }
        for block: Int32 in [-1, 2] {
            let step = ForwardStep(rows: [row(1, 0, 0)], blockTables: [[block]])
            #expect(throws: ForwardError.blockOutOfRange(block: block, blocks: 2)) {
                try runner.model.forward(step, cache: runner.cache, workspace: runner.workspace, pool: runner.pool)
            }
        }
    }

    @Test func `Caches and workspaces of another model are refused`() throws {
        let (runner, other) = (
            try runner(), try DecoderRunner(try read(try TinyDecoder.named("llama with odd sizes").gguf()))
        )
        let step = ForwardStep(rows: [row(1, 0, 0)], blockTables: runner.tables)
        #expect(throws: ForwardError.mismatch(what: "the cache")) {
            try runner.model.forward(step, cache: other.cache, workspace: runner.workspace, pool: runner.pool)
        }
        #expect(throws: ForwardError.mismatch(what: "the workspace")) {
            try runner.model.forward(step, cache: runner.cache, workspace: other.workspace, pool: runner.pool)
        }
    }

    @Test func `Impossible caches and workspaces are errors`() throws {
        let configuration = try runner().model.configuration
        #expect(throws: MemoryError.self) { try KeyValueCache(configuration: configuration, blocks: 0) }
        #expect(throws: MemoryError.self) { try KeyValueCache(configuration: configuration, blocks: .max) }
        #expect(throws: MemoryError.self) {
            try ForwardWorkspace(configuration: configuration, maximumRows: 0, maximumLogitRows: 0)
        }
    }
}
