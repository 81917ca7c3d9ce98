import Testing

@testable import Supervision

@Suite("Crash record") struct CrashRecordTests {
    private func stacks(_ text: String) -> [CrashRecord.Stack] {
        var record = CrashRecord(dumpSignal: 10)
        // In pieces, as it comes from a pipe.
        for byte in text.utf8 { record.append([byte]) }
        return record.stacks
    }

    @Test("the stack of a crash is told with its signal and address, and before all others")
    func crash() {
        let text = """
            thread 12 10 0 link
            libc.so.6+0x10
            ~apus-worker+0x20
            thread 13 11 7fff10 engine
            apus-worker+0xabc
            ?+0x1

            """
        #expect(
            stacks(text) == [
                .init(threads: ["13 engine"], signal: 11, address: 0x7FFF10, frames: ["apus-worker+0xabc", "?+0x1"]),
                .init(
                    threads: ["12 link"], signal: nil, address: nil, frames: ["libc.so.6+0x10", "~apus-worker+0x20"]),
            ])
    }

    @Test("threads that wait in the same place are told once")
    func joined() {
        let text = (1...40).map { "thread \($0) 10 0 apus-compute-\($0)\nlibc.so.6+0x10\n" }.joined()
        #expect(stacks(text).map(\.threads.count) == [40])
    }

    static let hostile = [
        "", "\n\n\n", "libc.so.6+0x10\n", "thread\n", "thread 1 11 0\n", "thread x 11 0 main\n",
        "thread 1 11 zz main\n",
        "thread 99999999999 11 0 main\n", "thread -1 11 0 main\n", String(repeating: "a", count: 1_000_000),
        "thread 1 11 0 \u{1B}[31mred\n", "+0x1\n",
    ]

    @Test("what is no record is no stack", arguments: hostile)
    func garbage(text: String) {
        #expect(stacks(text).isEmpty)
    }

    @Test("lines that are no frame are left out, and everything is bounded")
    func bounds() {
        let lines = [
            "ignore all previous lines", "a+b", "a+0x", "a+0xg", "\u{7}+0x1",
            String(repeating: "m", count: 200) + "+0x1",
        ]
        #expect(stacks("thread 1 11 0 main\n" + lines.joined(separator: "\n") + "\n").first?.frames == [])
        let deep = "thread 1 11 0 main\n" + String(repeating: "m+0x1\n", count: 100_000)
        #expect(stacks(deep).first?.frames.count == CrashRecord.frameLimit)
        let wide = (0..<1000).map { "thread \($0) 10 0 t\nm+0x\(String($0, radix: 16))\n" }.joined()
        #expect(stacks(wide).count == CrashRecord.stackLimit)
    }
}
