import EngineProtocol
import Scheduling
import TestSupport
import Testing

/// Random loads; after each event the scheduler's promises are checked against a model that only counts.
@Suite struct SchedulerPropertyTests {
    struct Tracked {
        let rows: Int
        let kind: SequenceRequest.Kind
        let deadline: UInt64
        /// Steps that a generation decodes, windows that a text has, before it ends.
        var roundsLeft: Int
        var processed = 0
        var slot: Int?
        /// Counts admissions: lower is older.
        var admission = 0
    }

    struct Key: Hashable {
        let call: UInt64
        let choice: UInt32
    }

    @Test(arguments: 0..<60)
    func `random loads keep every promise`(_ run: Int) throws {
        let seed = UInt64(run) &* 7919 &+ UInt64.random(in: 0...UInt64.max) & 0xFFFF
        var random = SeededRandom(seed: seed)
        var world = World(random: &random)
        for _ in 0..<400 {
            try world.randomEvent(&random, seed: seed)
            try world.step(seed: seed)
        }
        // Nothing new comes: everything that was accepted must end.
        var steps = 0
        while !world.live.isEmpty {
            try world.step(seed: seed)
            steps += 1
            try #require(steps < 20_000, "seed \(seed): \(world.live.count) sequences never end")
        }
        #expect(world.scheduler.isIdle, "seed \(seed)")
        #expect(world.ended == world.accepted, "seed \(seed)")
    }

    struct World {
        var scheduler: Scheduler
        var live: [Key: Tracked] = [:]
        var accepted = 0
        var ended = 0
        var admissions = 0
        var nextCall: UInt64 = 1
        var now: UInt64 = 1
        var plan = StepPlan()

        init(random: inout SeededRandom) {
            scheduler = Scheduler(
                limits: SchedulerLimits(
                    slots: Int.random(in: 1...6, using: &random),
                    waitingSequences: Int.random(in: 1...24, using: &random),
                    prefillRows: Int.random(in: 1...40, using: &random),
                    prefillRowsBesideDecoding: Int.random(in: 1...20, using: &random),
                    scoreRows: Int.random(in: 1...12, using: &random),
                    admissionsPerPriority: Int.random(in: 1...40, using: &random)))
        }

        mutating func randomEvent(_ random: inout SeededRandom, seed: UInt64) throws {
            now += UInt64.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4: try submit(&random, seed: seed)
            case 5:
                guard let call = live.keys.map(\.call).sorted().randomElement(using: &random) else { return }
                try end(call: call, removed: scheduler.remove(call: CallID(rawValue: call)), seed: seed)
            case 6:
                #expect(scheduler.remove(call: CallID(rawValue: 1 << 40)) == 0, "seed \(seed)")
            case 7: try expire(seed: seed)
            default: break
            }
        }

        mutating func submit(_ random: inout SeededRandom, seed: UInt64) throws {
            let call = nextCall
            nextCall += 1
            let kind: SequenceRequest.Kind = Int.random(in: 0..<5, using: &random) == 0 ? .scoring : .generation
            let choices = kind == .scoring ? 1 : UInt32.random(in: 1...4, using: &random)
            let rows = [1, 2, Int.random(in: 1...90, using: &random)].randomElement(using: &random) ?? 1
            let deadline = Bool.random(using: &random) ? 0 : now + UInt64.random(in: 0...200, using: &random)
            let template = SequenceRequest(
                call: CallID(rawValue: call), tenant: ["", "a", "b"].randomElement(using: &random) ?? "",
                priority: Int8.random(in: -3...3, using: &random), deadline: deadline, promptRows: rows, kind: kind)
            let requests = (0..<choices).map { choice in
                var request = template
                request.choice = choice
                request.input = choice / 2
                return request
            }
            let room = scheduler.limits.waitingSequences - scheduler.waitingCount
            do {
                _ = try scheduler.submit(requests)
                try #require(requests.count <= room, "seed \(seed): accepted beyond the bound")
            } catch {
                try #require(requests.count > room, "seed \(seed): refused although there was room")
                return
            }
            for request in requests {
                accepted += 1
                live[Key(call: call, choice: request.choice)] = Tracked(
                    rows: rows, kind: kind, deadline: deadline, roundsLeft: Int.random(in: 1...30, using: &random))
            }
        }

        mutating func expire(seed: UInt64) throws {
            let due = Set(live.filter { $0.value.deadline != 0 && $0.value.deadline <= now }.keys.map(\.call))
            let expired = scheduler.expire(now: now).map(\.rawValue)
            #expect(Set(expired) == due, "seed \(seed)")
            #expect(Set(expired).count == expired.count, "seed \(seed): a call expired twice")
            for call in expired { try end(call: call, removed: nil, seed: seed) }
        }

        mutating func end(call: UInt64, removed: Int?, seed: UInt64) throws {
            let keys = live.keys.filter { $0.call == call }
            if let removed { #expect(removed == keys.count, "seed \(seed)") }
            for key in keys { live[key] = nil }
            ended += keys.count
        }

        mutating func step(seed: UInt64) throws {
            let runningBefore = scheduler.runningCount
            scheduler.planStep(into: &plan)
            let limits = scheduler.limits
            try #require(plan.admitted.count <= limits.slots - runningBefore, "seed \(seed)")
            for admission in plan.admitted {
                try #require(!live.values.contains { $0.slot == admission.slot }, "seed \(seed): slot given twice")
                live[Key(call: admission.call.rawValue, choice: admission.choice)]?.slot = admission.slot
                admissions += 1
                live[Key(call: admission.call.rawValue, choice: admission.choice)]?.admission = admissions
            }
            // No slot stays free while somebody waits.
            #expect(scheduler.waitingCount == 0 || scheduler.runningCount == limits.slots, "seed \(seed)")
            try checkCopies(seed: seed)
            try checkRows(limits: limits, seed: seed)
            for slice in plan.slices { try compute(slice, seed: seed) }
        }

        func checkRows(limits: SchedulerLimits, seed: UInt64) throws {
            #expect(Set(plan.slices.map(\.slot)).count == plan.slices.count, "seed \(seed): slot twice in a step")
            let decoding = plan.slices.filter(\.isDecoding)
            let prefill = plan.slices.filter { !$0.isDecoding }.reduce(0) { $0 + $1.count }
            let budget = decoding.isEmpty ? limits.prefillRows : limits.prefillRowsBesideDecoding
            #expect(prefill <= budget, "seed \(seed): row budget")
            #expect(plan.rowCount <= limits.rowsPerStep, "seed \(seed)")
            let logits = plan.slices.reduce(0) { $0 + ($1.logits == .all ? $1.count : $1.logits == .last ? 1 : 0) }
            #expect(logits <= limits.logitsRowsPerStep, "seed \(seed): logits budget")
            try checkProgress(prefillRows: prefill, budget: budget, seed: seed)
        }

        /// Decoding sequences and the oldest prompt move in every step, and no rows are left over while a prompt waits.
        func checkProgress(prefillRows: Int, budget: Int, seed: UInt64) throws {
            let moved = Set(plan.slices.map(\.slot))
            let prompts = live.values.filter { $0.slot != nil && $0.processed < $0.rows }
            for sequence in live.values {
                guard let slot = sequence.slot, sequence.processed >= sequence.rows else { continue }
                #expect(moved.contains(slot), "seed \(seed): the stream in slot \(slot) stands still")
            }
            if let oldest = prompts.min(by: { $0.admission < $1.admission }), let slot = oldest.slot {
                #expect(moved.contains(slot), "seed \(seed): the oldest prompt, in slot \(slot), stands still")
            }
            let rowsWanted = prompts.filter { $0.kind == .generation && $0.processed > 0 }
                .reduce(0) { $0 + $1.rows - $1.processed }
            #expect(prefillRows >= min(budget, rowsWanted), "seed \(seed): rows are left over")
        }

        mutating func checkCopies(seed: UInt64) throws {
            for copy in plan.copies {
                let source = try #require(live.first { $0.value.slot == copy.source }, "seed \(seed)")
                let target = try #require(live.first { $0.value.slot == copy.target }, "seed \(seed)")
                #expect(source.key.call == target.key.call, "seed \(seed)")
                #expect(source.value.processed >= copy.positions, "seed \(seed): copied before it was computed")
                #expect(copy.positions < target.value.rows, "seed \(seed): no row is left for the logits")
                #expect(target.value.processed == 0, "seed \(seed)")
                live[target.key]?.processed = copy.positions
            }
        }

        mutating func compute(_ slice: StepPlan.Slice, seed: UInt64) throws {
            let key = Key(call: slice.call.rawValue, choice: slice.choice)
            var sequence = try #require(live[key], "seed \(seed): a row of a sequence that has ended")
            #expect(sequence.slot == slice.slot, "seed \(seed)")
            #expect(slice.firstPosition == sequence.processed, "seed \(seed): a gap in the cache")
            #expect(slice.count > 0, "seed \(seed)")
            sequence.processed += slice.count
            let promptDone = sequence.processed >= sequence.rows
            switch sequence.kind {
            case .scoring:
                #expect(slice.logits == .all, "seed \(seed)")
                #expect(sequence.processed <= sequence.rows, "seed \(seed)")
            case .generation:
                #expect(slice.logits == (promptDone ? .last : .none), "seed \(seed)")
            }
            live[key] = sequence
            guard promptDone else { return }
            sequence.roundsLeft -= 1
            if sequence.roundsLeft == 0 {
                scheduler.finish(slot: slice.slot)
                live[key] = nil
                ended += 1
            } else if sequence.kind == .scoring {
                scheduler.restart(slot: slice.slot, promptRows: sequence.rows)
                sequence.processed = 0
                live[key] = sequence
            } else {
                live[key] = sequence
            }
        }
    }
}
