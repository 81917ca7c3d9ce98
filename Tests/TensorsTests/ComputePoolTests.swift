import Glibc
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Tensors

@Suite struct ComputePoolTests {
    @Test(arguments: [1, 2, 3, 8]) func `Every part runs exactly once`(threads: Int) {
        let pool = ComputePool(threads: threads)
        #expect(pool.threads == threads)
        for parts in [0, 1, 2, 3, 7, 64, 1000] {
            // Each part owns a row, so a thread sanitizer sees a part that runs twice.
            let counts = Rows(rows: parts + 1, columns: 1) { _ in 0 }
            pool.run(parts: parts) { part in counts.view[part][0] += 1 }
            #expect((0..<parts).allSatisfy { counts.view[$0][0] == 1 } && counts.view[parts][0] == 0)
        }
    }

    @Test func `Jobs follow each other without losing a part`() {
        let pool = ComputePool(threads: 4)
        let sum = Atomic<Int>(0)
        for _ in 0..<5_000 { pool.run(parts: 5) { sum.add($0 + 1, ordering: .relaxed) } }
        #expect(sum.load(ordering: .relaxed) == 5_000 * 15)
    }

    @Test func `Jobs of several callers do not mix`() async {
        let pool = ComputePool(threads: 3)
        await withTaskGroup(of: Int.self) { group in
            for caller in 0..<4 {
                group.addTask {
                    let sum = Atomic<Int>(0)
                    for _ in 0..<200 { pool.run(parts: 9) { _ in sum.add(caller, ordering: .relaxed) } }
                    return sum.load(ordering: .relaxed) - 200 * 9 * caller
                }
            }
            for await difference in group { #expect(difference == 0) }
        }
    }

    @Test func `A pool without work ends`() {
        for _ in 0..<50 { _ = ComputePool(threads: 4) }
    }
}

@Suite struct ReservedMemoryTests {
    @Test func `Memory reads as zeros at first and after it was discarded`() throws {
        let memory = try ReservedMemory(byteCount: 1 << 40)
        let view = memory.floats(offset: 1 << 39, count: 100_000)
        view[0] = 1
        view[99_999] = 2
        memory.discard(offset: 0, byteCount: 1 << 40)
        #expect(view[0] == 0 && view[99_999] == 0)
    }

    @Test func `Committed memory is there before it is touched`() throws {
        let memory = try ReservedMemory(byteCount: 1 << 40)
        let before = try #require(ProcessMemory.of(processID: getpid()))
        try memory.commit(byteCount: 64 << 20)
        let after = try #require(ProcessMemory.of(processID: getpid()))
        #expect(after.anonymousBytes > before.anonymousBytes + 32 << 20)
        #expect(memory.floats(offset: 4096, count: 1)[0] == 0)
    }

    @Test func `What cannot be reserved is an error`() {
        #expect(throws: MemoryError(bytes: .max)) { try ReservedMemory(byteCount: .max) }
        #expect(throws: MemoryError(bytes: -1)) { try ReservedMemory(byteCount: -1) }
    }

    @Test func `A view that leaves the memory traps`() async {
        await #expect(processExitsWith: .failure) {
            let memory = try ReservedMemory(byteCount: 4096)
            _ = memory.floats(offset: 4000, count: 100)
        }
    }
}
