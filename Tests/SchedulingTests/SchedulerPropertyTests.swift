import EngineProtocol
import TestSupport
import Testing

@testable import Scheduling

/// Random loads on small caches; each step is carried out on a model of the cache that remembers what each position
/// holds, and after each step the scheduler's promises are checked.
@Suite struct SchedulerPropertyTests {
    @Test(arguments: 0..<80)
    func `random loads keep every promise`(_ run: Int) throws {
        let seed = UInt64(run) &* 7919 &+ UInt64.random(in: 0...UInt64.max) & 0xFFFF
        var random = SeededRandom(seed: seed)
        var world = World(random: &random, seed: seed)
        for _ in 0..<300 {
            try world.randomEvent(&random)
            try world.step(&random)
        }
        // Nothing new comes: everything that was accepted must end.
        var steps = 0
        while !world.live.isEmpty {
            world.giveCredit()
            try world.step(&random)
            steps += 1
            try #require(steps < 30_000, "seed \(seed): \(world.live.count) sequences never end")
        }
        #expect(world.scheduler.isIdle, "seed \(seed)")
        #expect(world.scheduler.blocksUsed == 0, "seed \(seed): blocks are lost")
        #expect(world.ended == world.accepted, "seed \(seed)")
    }

    struct Key: Hashable {
        let call: UInt64
        let choice: UInt32
    }

    struct Tracked {
        let request: SequenceRequest
        /// Prompt and generated tokens of a generation; a text has made-up ones.
        var tokens: [Int32]
        var generated = 0
        /// Windows that a text has left.
        var windows: Int
        /// Positions of its slot that the model has seen computed.
        var slot: Int?
        /// Rows that it gave away.
        var givenRows = 0
        /// The slice whose next layers are to come.
        var unfinished: StepPlan.Slice?
    }

    struct World {
        let seed: UInt64
        var scheduler: Scheduler
        var live: [Key: Tracked] = [:]
        /// For each position of each block, the hash of the tokens up to the one that it holds.
        var cache: [[UInt64]]
        var accepted = 0
        var ended = 0
        var nextCall: UInt64 = 1
        var now: UInt64 = 1
        var plan = StepPlan()
        var costs: StepCosts?
        /// What calls that give rows away may still give, and how much they got in all.
        var credits: [UInt64: Int] = [:]
        /// Calls whose rows were dropped in the last step: they must go before the next.
        var cancelled: Set<UInt64> = []

        init(random: inout SeededRandom, seed: UInt64) {
            self.seed = seed
            let positions = Int.random(in: 1...6, using: &random)
            scheduler = Scheduler(
                limits: SchedulerLimits(
                    slots: Int.random(in: 1...8, using: &random), blocks: Int.random(in: 4...60, using: &random),
                    blockPositions: positions, waitingSequences: Int.random(in: 1...24, using: &random),
                    prefillRows: Int.random(in: 1...40, using: &random),
                    prefillRowsBesideDecoding: Int.random(in: 1...20, using: &random),
                    leastPrefillRows: Int.random(in: 1...8, using: &random),
                    scoreRows: Int.random(in: 1...12, using: &random), layers: Int.random(in: 1...6, using: &random),
                    admissionsPerPriority: Int.random(in: 1...40, using: &random)))
            cache = Array(repeating: Array(repeating: 0, count: positions), count: scheduler.limits.blocks)
            if Bool.random(using: &random) { costs = StepCosts(step: 100, row: 10, depth: 1) }
        }

        // MARK: Events

        mutating func randomEvent(_ random: inout SeededRandom) throws {
            now += UInt64.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<11, using: &random) {
            case 0...4: try submit(&random)
            case 9: giveCredit()
            case 5:
                guard let call = live.keys.map(\.call).sorted().randomElement(using: &random) else { return }
                try cancel(call)
            case 6: #expect(scheduler.remove(call: CallID(rawValue: 1 << 40)) == 0, "seed \(seed)")
            case 7: try expire()
            case 8:
                for slot in 0..<scheduler.limits.slots {
                    scheduler.propose(slot: slot, draftTokens: Int.random(in: 0...5, using: &random))
                }
            default: break
            }
        }

        mutating func submit(_ random: inout SeededRandom) throws {
            let call = nextCall
            nextCall += 1
            let tenant = ["", "a", "b"].randomElement(using: &random) ?? ""
            let priority = Int8.random(in: -2...2, using: &random)
            let deadline = Bool.random(using: &random) ? 0 : now + UInt64.random(in: 0...300, using: &random)
            let salt = ["", "", "s"].randomElement(using: &random) ?? ""
            // Prompts begin alike often enough to be shared, and differ somewhere.
            let length = [1, 2, Int.random(in: 1...80, using: &random)].randomElement(using: &random) ?? 1
            let common = Int.random(in: 0...length, using: &random)
            let prompt = (0..<length).map { $0 < common ? Int32($0 % 7) : Int32.random(in: 0...2, using: &random) }
            let kind = Int.random(in: 0..<8, using: &random)
            let (isScoring, isEmbedding) = (kind == 0, kind == 1)
            let isText = isScoring || isEmbedding
            let output =
                kind == 2 || kind == 3
                ? SequenceRequest.Output(
                    rowBytes: Int.random(in: 1...9, using: &random),
                    rowsPerStep: Int.random(in: 1...30, using: &random),
                    needsLogits: kind == 2) : nil
            let isPromptKnown = kind != 4
            let credit = Int.random(in: 0...60, using: &random)
            let maximum = output != nil && Bool.random(using: &random) ? 0 : Int.random(in: 1...40, using: &random)
            let choices = isScoring ? 1 : UInt32.random(in: 1...5, using: &random)
            let requests = (0..<choices).map { choice in
                var request = SequenceRequest(
                    call: CallID(rawValue: call), choice: choice, tenant: tenant, priority: priority,
                    deadline: deadline, cacheSalt: salt,
                    work: isScoring
                        ? .scoring(rows: length)
                        : isEmbedding
                            ? .embedding(rows: length) : .generation(prompt: prompt, maximumTokens: maximum))
                request.isPromptKnown = isPromptKnown
                request.output = output
                return request
            }
            let limits = scheduler.limits
            let positions = isText ? length : length + max(1, maximum) - 1
            let fits = (positions + limits.blockPositions - 1) / limits.blockPositions <= limits.blocks
            let room = limits.waitingSequences - scheduler.waitingCount
            do throws(SubmissionError) {
                _ = try scheduler.submit(requests, credit: credit)
                try? #require(fits && requests.count <= room, "seed \(seed): accepted beyond the bounds")
            } catch {
                switch error {
                case .neverFits: #expect(!fits, "seed \(seed)")
                case .queueFull: #expect(requests.count > room, "seed \(seed)")
                }
                return
            }
            if output != nil { credits[call] = credit }
            for request in requests {
                accepted += 1
                live[Key(call: call, choice: request.choice)] = Tracked(
                    request: request, tokens: prompt, windows: isScoring ? Int.random(in: 1...3, using: &random) : 1)
            }
        }

        /// Lets every call that waits for credit give a few rows away.
        mutating func giveCredit() {
            for call in credits.keys.sorted() {
                credits[call, default: 0] += 20
                scheduler.addCredit(20, call: CallID(rawValue: call))
            }
        }

        mutating func cancel(_ call: UInt64) throws {
            let count = live.keys.count { $0.call == call }
            #expect(scheduler.remove(call: CallID(rawValue: call)) == count, "seed \(seed)")
            forget(call)
        }

        mutating func expire() throws {
            let isDue = { [now] (tracked: Tracked) in tracked.request.deadline != 0 && tracked.request.deadline <= now }
            let due = Set(live.filter { isDue($0.value) }.keys.map(\.call))
            let expired = scheduler.expire(now: now).map(\.rawValue)
            #expect(Set(expired) == due, "seed \(seed)")
            #expect(Set(expired).count == expired.count, "seed \(seed): a call expired twice")
            for call in expired { forget(call) }
        }

        mutating func forget(_ call: UInt64) {
            credits[call] = nil
            for key in live.keys where key.call == call {
                live[key] = nil
                ended += 1
            }
        }

        // MARK: Step

        mutating func step(_ random: inout SeededRandom) throws {
            for call in cancelled where live.keys.contains(where: { $0.call == call }) { try cancel(call) }
            cancelled.removeAll()
            scheduler.planStep(into: &plan, costs: costs)
            try followChanges()
            for copy in plan.copies {
                #expect(scheduler.pool.userCount(of: copy.target) == 1, "seed \(seed): copied into a shared block")
                cache[Int(copy.target)] = cache[Int(copy.source)]
            }
            try checkRows()
            try checkLayers()
            if !live.isEmpty {
                try #require(!plan.isEmpty || waitsForCredit, "seed \(seed): nothing moves")
            }
            payForRows()
            // First all rows are written, and then each may look back at those of its sequence.
            var decisions: [(StepPlan.Slice, [Int32])] = []
            for slice in plan.slices { decisions.append((slice, try write(slice, &random))) }
            for (slice, rows) in decisions { try check(slice, rows) }
            for (slice, rows) in decisions { try end(slice, rows, &random) }
            checkBlocks()
        }

        /// A sequence that has a slot may not go on without credit: it and those that need its place may stand still.
        var waitsForCredit: Bool {
            live.contains { $0.value.slot != nil && (credits[$0.key.call] ?? 1) <= 0 }
        }

        /// Each row is given once, and only while there was credit when the row before it was given.
        mutating func payForRows() {
            var bytes: [UInt64: Int] = [:]
            var largestRow: [UInt64: Int] = [:]
            for slice in plan.slices {
                let key = Key(call: slice.call.rawValue, choice: slice.choice)
                guard let sequence = live[key], let output = sequence.request.output else { continue }
                #expect(slice.count <= output.rowsPerStep && slice.draftTokens == 0, "seed \(seed)")
                let known = max(0, min(slice.count, sequence.givenRows - slice.firstPosition))
                #expect(slice.givenRows == known, "seed \(seed): a row is given twice, or never")
                bytes[key.call, default: 0] += (slice.count - known) * output.rowBytes
                largestRow[key.call] = output.rowBytes
            }
            for (call, bytes) in bytes where bytes > 0 {
                let credit = credits[call] ?? 0
                #expect(credit > 0 && bytes < credit + (largestRow[call] ?? 0), "seed \(seed): more than the credit")
            }
        }

        mutating func followChanges() throws {
            for change in plan.changes {
                let key = Key(call: change.call.rawValue, choice: change.choice)
                switch change.kind {
                case .admitted, .resumed:
                    try #require(!live.values.contains { $0.slot == change.slot }, "seed \(seed): slot given twice")
                    try #require(live[key]?.slot == nil, "seed \(seed)")
                    live[key]?.slot = change.slot
                case .preempted:
                    try #require(live[key]?.slot == change.slot, "seed \(seed)")
                    live[key]?.slot = nil
                    live[key]?.unfinished = nil
                }
            }
        }

        func checkRows() throws {
            let limits = scheduler.limits
            #expect(Set(plan.slices.map(\.slot)).count == plan.slices.count, "seed \(seed): slot twice in a step")
            let decoding = plan.slices.filter(\.isDecoding)
            let drafts = plan.slices.reduce(0) { $0 + $1.draftTokens }
            let prefill = plan.slices.filter { !$0.isDecoding }.reduce(0) { $0 + $1.count }
            let budget = decoding.isEmpty || costs != nil ? limits.prefillRows : limits.prefillRowsBesideDecoding
            #expect(prefill <= budget, "seed \(seed): row budget")
            #expect(prefill + drafts <= limits.prefillRows, "seed \(seed): drafts count as rows")
            if let costs, !decoding.isEmpty {
                let decodingTime =
                    costs.step
                    + decoding.reduce(0) { $0 + self.time(of: $1, costs) }
                // A few rows, or a layer of those that were chosen beside more streams than there are now.
                let layer = plan.slices.first(where: \.isLayered).map {
                    costs.nanoseconds($0.work) / Double($0.layers.count)
                }
                let least = max(
                    costs.nanoseconds(StepWork(from: 130, count: limits.leastPrefillRows)), layer ?? 0)
                let time = plan.slices.filter { !$0.isDecoding }.reduce(0) { $0 + self.time(of: $1, costs) }
                #expect(time <= decodingTime * 0.75 + least, "seed \(seed): prefill takes too long")
            }
            let logits = plan.slices.reduce(0) { $0 + ($1.logits == .all ? $1.count : $1.logits == .last ? 1 : 0) }
            #expect(logits <= limits.logitsRowsPerStep, "seed \(seed): logits budget")
            // Streams never stand still beside a prompt, unless they had to give up their blocks.
            for sequence in scheduler.running.enumerated()
            where sequence.element?.isDecoding == true && sequence.element?.request.output == nil {
                #expect(plan.slices.contains { $0.slot == sequence.offset }, "seed \(seed): a stream stands still")
            }
        }

        func time(of slice: StepPlan.Slice, _ costs: StepCosts) -> Double {
            costs.nanoseconds(slice.work)
        }

        /// Layers come without gaps, for the same rows in the same blocks, of one prompt at a time and after all other rows.
        mutating func checkLayers() throws {
            #expect(plan.slices.dropLast().allSatisfy { !$0.isLayered }, "seed \(seed)")
            for slice in plan.slices {
                let key = Key(call: slice.call.rawValue, choice: slice.choice)
                let before = live[key]?.unfinished
                #expect(slice.layers.lowerBound == before?.layers.upperBound ?? 0, "seed \(seed): layers are left out")
                #expect(!slice.layers.isEmpty, "seed \(seed)")
                if let before {
                    #expect(
                        (slice.firstPosition, slice.count) == (before.firstPosition, before.count), "seed \(seed)")
                    #expect(slice.blocks == before.blocks, "seed \(seed)")
                }
                live[key]?.unfinished = slice.isComplete ? nil : slice
            }
            #expect(live.values.count { $0.unfinished != nil } <= 1, "seed \(seed)")
        }

        /// Writes the rows of a slice, and returns their tokens.
        mutating func write(_ slice: StepPlan.Slice, _ random: inout SeededRandom) throws -> [Int32] {
            let key = Key(call: slice.call.rawValue, choice: slice.choice)
            let sequence = try #require(live[key], "seed \(seed): a row of a sequence that has ended")
            #expect(sequence.slot == slice.slot, "seed \(seed)")
            #expect(slice.count > 0, "seed \(seed)")
            let known = slice.count - slice.draftTokens
            #expect(slice.firstPosition + known <= sequence.tokens.count, "seed \(seed)")
            #expect(
                slice.isDecoding
                    == (sequence.generated > 0 && known == 1
                        && slice.firstPosition == sequence.tokens.count - 1),
                "seed \(seed)")
            var tokens = Array(sequence.tokens.prefix(slice.firstPosition + known))
            // About half of the drafts are right.
            for _ in 0..<slice.draftTokens {
                let right = chosenToken(after: tokens, key)
                tokens.append(Bool.random(using: &random) ? right : right + 1)
            }
            for position in slice.firstPosition..<slice.firstPosition + slice.count {
                let (index, offset) = place(position)
                let block = try #require(
                    slice.blocks.indices.contains(index) ? slice.blocks[index] : nil, "seed \(seed)")
                #expect(scheduler.pool.userCount(of: block) == 1, "seed \(seed): a shared block is written")
                cache[Int(block)][offset] = content(of: sequence, tokens, through: position)
            }
            return tokens
        }

        /// Every position up to a row's own holds what the row's sequence needs there.
        func check(_ slice: StepPlan.Slice, _ tokens: [Int32]) throws {
            let sequence = try #require(live[Key(call: slice.call.rawValue, choice: slice.choice)])
            for position in 0..<slice.firstPosition + slice.count {
                let (index, offset) = place(position)
                #expect(
                    cache[Int(slice.blocks[index])][offset] == content(of: sequence, tokens, through: position),
                    "seed \(seed): position \(position) of call \(slice.call) is not its own")
            }
        }

        mutating func end(_ slice: StepPlan.Slice, _ rows: [Int32], _ random: inout SeededRandom) throws {
            let key = Key(call: slice.call.rawValue, choice: slice.choice)
            guard var sequence = live[key] else { return }
            if Int.random(in: 0..<150, using: &random) == 0 {
                // Cancelled between two layers: what it wrote is no good.
                for position in slice.firstPosition..<slice.firstPosition + slice.count {
                    let (index, offset) = place(position)
                    cache[Int(slice.blocks[index])][offset] = 1
                }
                cancelled.insert(key.call)
                return
            }
            guard slice.isComplete else {
                #expect(slice.logits == .none && !slice.choosesToken, "seed \(seed)")
                return scheduler.complete(slot: slice.slot)
            }
            if let output = sequence.request.output {
                credits[key.call]? -= (slice.count - slice.givenRows) * output.rowBytes
                sequence.givenRows = max(sequence.givenRows, slice.firstPosition + slice.count)
                live[key] = sequence
            }
            if sequence.request.isScoring || sequence.request.isEmbedding { return endWindow(slice, &sequence, key) }
            guard slice.choosesToken else {
                #expect(slice.logits == (sequence.request.needsAllLogits ? .all : .none), "seed \(seed)")
                scheduler.complete(slot: slice.slot)
                guard !sequence.request.choosesTokens, slice.firstPosition + slice.count == sequence.tokens.count else {
                    return
                }
                scheduler.finish(slot: slice.slot)
                live[key] = nil
                ended += 1
                return
            }
            let isAll = slice.draftTokens > 0 || sequence.request.needsAllLogits
            #expect(slice.logits == (isAll ? .all : .last), "seed \(seed)")
            var chosen: [Int32] = []
            for row in slice.count - slice.draftTokens - 1..<slice.count {
                let position = slice.firstPosition + row
                // A draft counts as long as it is what was chosen.
                if row > slice.count - slice.draftTokens - 1, rows[position] != chosen.last { break }
                chosen.append(chosenToken(after: Array(rows[0...position]), key))
            }
            sequence.tokens += chosen
            sequence.generated += chosen.count
            guard case .generation(let prompt, let maximum) = sequence.request.work else { return }
            #expect(sequence.generated <= maximum, "seed \(seed): more tokens than wanted")
            scheduler.complete(slot: slice.slot, tokens: chosen[...])
            live[key] = sequence
            guard sequence.generated >= maximum else { return }
            // Preempted or not, it said what its tokens lead to.
            var expected = prompt
            for _ in 0..<maximum { expected.append(chosenToken(after: expected, key)) }
            #expect(sequence.tokens == expected, "seed \(seed)")
            scheduler.finish(slot: slice.slot)
            live[key] = nil
            ended += 1
        }

        mutating func endWindow(_ slice: StepPlan.Slice, _ sequence: inout Tracked, _ key: Key) {
            #expect(slice.logits == (sequence.request.isScoring ? .all : .none), "seed \(seed)")
            scheduler.complete(slot: slice.slot)
            guard slice.firstPosition + slice.count == sequence.tokens.count else { return }
            sequence.windows -= 1
            if sequence.windows == 0 {
                scheduler.finish(slot: slice.slot)
                live[key] = nil
                ended += 1
            } else {
                scheduler.restart(slot: slice.slot, rows: sequence.tokens.count)
                live[key] = sequence
            }
        }

        /// Every block's users are the tables with it and the prefix cache, and nothing else.
        func checkBlocks() {
            var users: [Int32: Int] = [:]
            for block in scheduler.running.flatMap({ $0?.table ?? [] }) { users[block, default: 0] += 1 }
            let inTables = users
            var known = 0
            for block in 0..<Int32(scheduler.limits.blocks) where scheduler.prefixes.contains(block) {
                users[block, default: 0] += 1
                known += 1
            }
            #expect(scheduler.pool.freeCount == scheduler.limits.blocks - users.count, "seed \(seed): lost blocks")
            for (block, count) in users {
                #expect(scheduler.pool.userCount(of: block) == count, "seed \(seed): users of block \(block)")
            }
            #expect(scheduler.prefixes.count == known, "seed \(seed)")
            #expect(scheduler.blocksUsed == inTables.count, "seed \(seed)")
            #expect(scheduler.blocksCached == users.count - inTables.count, "seed \(seed)")
            #expect(scheduler.blocksUsed + scheduler.blocksCached <= scheduler.limits.blocks, "seed \(seed)")
        }

        /// Index of a position's block in its table, and its place there.
        func place(_ position: Int) -> (index: Int, offset: Int) {
            (position / scheduler.limits.blockPositions, position % scheduler.limits.blockPositions)
        }

        // MARK: A model that is a hash

        func chosenToken(after tokens: [Int32], _ key: Key) -> Int32 {
            Int32(hash(tokens[...], start: UInt64(key.choice)) % 3)
        }

        /// What a position holds: a text's own, or what all with the same tokens and salt have there.
        func content(of sequence: Tracked, _ tokens: [Int32], through position: Int) -> UInt64 {
            let request = sequence.request
            // Of those that share nothing nobody else may have a block.
            let start =
                request.sharedPrompt == nil
                ? request.call.rawValue << 16 | UInt64(request.choice) << 8 : UInt64(request.cacheSalt.utf8.count)
            return hash(tokens[0...position], start: start) | 2
        }

        func hash(_ tokens: ArraySlice<Int32>, start: UInt64) -> UInt64 {
            tokens.reduce(start &+ 99) { ($0 ^ UInt64(UInt32(bitPattern: $1))) &* 0xFF51_AFD7_ED55_8CCD ^ ($0 >> 29) }
        }
    }
}

extension SequenceRequest {
    fileprivate var isEmbedding: Bool { if case .embedding = work { true } else { false } }
}
