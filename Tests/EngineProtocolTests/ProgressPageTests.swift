import EngineProtocol
import Glibc
import Platform
import Testing

@Suite struct ProgressPageTests {
    /// A file, the worker's page and the gateway's.
    private func pages() throws -> (Int32, writer: ProgressPage, reader: ProgressPage) {
        let file = try ProgressPage.makeFile()
        let writer = try ProgressPage(descriptor: file.rawValue, writable: true)
        let reader = try ProgressPage(descriptor: file.rawValue, writable: false)
        return (file.release(), writer, reader)
    }

    @Test func `what one process writes the other reads`() throws {
        let (file, writer, reader) = try pages()
        close(file)
        #expect(reader.read() == WorkerProgress())
        let calls = (1...3).map { CallID(generation: 2, sequence: $0) }
        writer.setCalls(7)
        writer.beginStep(rows: 9, sequences: 4, calls: [calls[0], calls[0], calls[1], calls[2]])
        writer.beginLayer(5)
        writer.beginPreparation(.preparing, call: calls[2])
        var expected = WorkerProgress()
        (expected.enginePhase, expected.steps, expected.layer, expected.calls) = (.computing, 1, 5, 7)
        (expected.rows, expected.sequences, expected.batch) = (9, 4, calls)
        (expected.preparationPhase, expected.preparations, expected.preparedCall) = (.preparing, 1, calls[2])
        #expect(reader.read() == expected)
        writer.beginTurn()
        (expected.enginePhase, expected.turns) = (.planning, 1)
        #expect(reader.read() == expected)
        writer.enter(.sampling)
        writer.endPreparation()
        (expected.enginePhase, expected.preparationPhase, expected.preparations) = (.sampling, .idle, 2)
        #expect(reader.read() == expected)
    }

    @Test func `of a very large step the first calls are listed`() throws {
        let (file, writer, reader) = try pages()
        close(file)
        writer.beginStep(rows: 1000, sequences: 256, calls: (1...256).map { CallID(generation: 1, sequence: $0) })
        #expect(reader.read().batch == (1...64).map { CallID(generation: 1, sequence: $0) })
        #expect(reader.read().sequences == 256)
    }

    @Test func `whatever a worker writes can be read, and it cannot take the memory away`() throws {
        let (file, _, reader) = try pages()
        defer { close(file) }
        let words = try SharedWords(descriptor: file, count: ProgressPage.wordCount, writable: true)
        for index in 0..<words.count { words[index] = .max }
        let progress = reader.read()
        #expect(progress.enginePhase == .computing && progress.preparationPhase == .preparing)
        #expect(progress.batch.count == 64 && progress.steps == .max)
        #expect(ftruncate(file, 0) == -1 && errno == EPERM)
        #expect(throws: SystemError.self) { try ProgressPage(descriptor: 0, writable: true) }
    }

    @Test func `a page that nobody reads takes everything`() {
        let page = ProgressPage()
        page.beginStep(rows: 1, sequences: 1, calls: [CallID(generation: 1, sequence: 1)])
        page.beginLayer(1)
        #expect(page.read() == WorkerProgress())
    }
}
