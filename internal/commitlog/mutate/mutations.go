package main

// Packages whose tests are to notice what happens below.
var (
	log = []string{"commitlog", "logvfs"}
	dir = []string{"objstore/dir"}
)

// mutations is the list: the four fixes of DESIGN §4 first, then what issue
// "Storage" names besides, then what else nobody may remove unnoticed.
var mutations = []mutation{
	// 1. Slot reuse after retention.
	{
		"boundary (fix 1)", "it is never read", "commitlog/boundary.go",
		[]edit{{"if !l.cfg.Has(GuardBoundary) {", "if true {"}},
		log,
	},
	{
		"boundary (fix 1)", "a won slot counts whatever the boundary says", "commitlog/append.go",
		[]edit{{"if id <= b.TXID {", "if false {"}},
		log,
	},
	{
		"boundary (fix 1)", "a strong read trusts an empty slot", "commitlog/catchup.go",
		[]edit{{"if b.TXID > base.TXID {", "if false {"}},
		log,
	},
	{
		"boundary (fix 1)", "a strong read looks at the boundary before the slot", "logvfs/read.go",
		[]edit{{
			"	files, st, err := db.log.Catchup(ctx, base, nil)\n	if err != nil {\n		return err\n	}\n	if st, err = db.log.Confirm(ctx, base, st); err != nil {\n		return err\n	}\n",
			"	st, err := db.log.Confirm(ctx, base, base)\n	if err != nil {\n		return err\n	}\n	known := st.Boundary\n	files, st, err := db.log.Catchup(ctx, base, nil)\n	if st.Boundary = known; err != nil {\n		return err\n	}\n",
		}},
		log,
	},
	{
		"boundary (fix 1)", "expiry deletes first and raises it afterwards", "commitlog/expire.go",
		[]edit{
			{
				"if e.Boundary, err = l.raise(ctx, lin, Boundary{TXID: want, Snapshot: verified.Max}); err != nil {\n			return e, err\n		}",
				"e.Boundary = Boundary{TXID: want, Snapshot: verified.Max}",
			},
			{
				"return e, l.deleteAll(ctx, keys)",
				"if err := l.deleteAll(ctx, keys); err != nil || e.Boundary.TXID == 0 {\n		return e, err\n	}\n	_, err = l.raise(ctx, lin, e.Boundary)\n	return e, err",
			},
		},
		log,
	},
	{
		"boundary (fix 1)", "it may pass the newest commit", "commitlog/expire.go",
		[]edit{{"commits[len(commits)-1].Max-1)", "commits[len(commits)-1].Max)"}},
		log,
	},
	{
		"boundary (fix 1)", "a plan reads single commits behind it", "commitlog/plan.go",
		[]edit{{"(to == 0 || f.Max <= to) && (f.Level != LevelCommit || f.Max > floor)", "(to == 0 || f.Max <= to)"}, {
			"if f.Level == LevelCommit && f.Max <= b.TXID {", "if f.Max == 0 {",
		}},
		log,
	},
	{
		"boundary (fix 1)", "a range is written from what may be a late write", "commitlog/compact.go",
		[]edit{{"if b.TXID >= target.Min {", "if false {"}},
		log,
	},
	{
		"boundary (fix 1)", "a snapshot that does not have the checksum of its commits may carry it", "commitlog/compact.go",
		[]edit{{"if want != d.Post {", "if false {"}},
		log,
	},

	// 2. Lineage.
	{
		"lineage (fix 2)", "a history made anew gets the same prefix", "commitlog/keys.go",
		[]edit{{"if l.cfg.Has(GuardLineage) {", "if false {"}},
		log,
	},
	{
		"lineage (fix 2)", "a retired lineage keeps its boundary", "commitlog/expire.go",
		[]edit{{"if _, err := l.raise(ctx, lin, Boundary{TXID: retired}); err != nil {", "if _, err := l.Boundary(ctx, lin); err != nil {"}},
		log,
	},

	// 3. Stale SQLite cache.
	{
		"cache probe (fix 3)", "SQLite believes its change counter", "logvfs/file.go",
		[]edit{{"f.stale = f.im.log.Config().Has(commitlog.GuardProbe)", "f.stale = false"}},
		log,
	},
	{
		"cache probe (fix 3)", "batch-atomic writes are advertised", "logvfs/file.go",
		[]edit{{"return vfs.IOCAP_POWERSAFE_OVERWRITE", "return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_BATCH_ATOMIC"}, {
			"// Close ends the connection.\nfunc (f *file) Close() error { return nil }",
			"func (f *file) Close() error               { return nil }\nfunc (f *file) BeginAtomicWrite() error    { return nil }\nfunc (f *file) CommitAtomicWrite() error   { return f.SyncSuper(\"\") }\nfunc (f *file) RollbackAtomicWrite() error { return nil }",
		}},
		log,
	},

	// 4. Wrong error code.
	{
		"BUSY_SNAPSHOT (fix 4)", "a lost race is BUSY", "logvfs/file.go",
		[]edit{{"if !f.im.log.Config().Has(commitlog.GuardBusy) {", "if true {"}},
		log,
	},
	{
		"BUSY_SNAPSHOT (fix 4)", "a lost race is IOERR", "logvfs/file.go",
		[]edit{{"return vfs.SystemError(err, sqlite3.BUSY_SNAPSHOT)", "return vfs.SystemError(err, sqlite3.IOERR_WRITE)"}},
		log,
	},

	{
		"seal", "a swap does not win the old lineage's next slot", "commitlog/lineage.go",
		[]edit{{"if l.cfg.Has(GuardSeal) {", "if false {"}},
		log,
	},
	{
		"seal", "who meets one goes on behind it", "commitlog/catchup.go",
		[]edit{{"ok && l.cfg.Has(GuardSeal) {", "ok && false {\n		_ = s"}},
		log,
	},
	{
		"seal", "one who opens a sealed lineage stays there", "commitlog/plan.go",
		[]edit{{"ok && to == 0 && l.cfg.Has(GuardSeal) {", "ok && false {\n		_ = s"}},
		log,
	},

	{
		"read-back", "a failed put is taken for a lost one", "commitlog/append.go",
		[]edit{{"if !l.cfg.Has(GuardReadBack) {", "if true {"}},
		log,
	},
	{
		"read-back", "what is read back is not compared", "commitlog/append.go",
		[]edit{{"case gerr == nil && bytes.Equal(got, body):\n			return nil, nil", "case gerr == nil && bytes.Equal(got, body):\n			return got, ErrConflict"}},
		log,
	},
	{
		"read-back", "an unknown outcome is told as a lost race", "commitlog/append.go",
		[]edit{{"return nil, fmt.Errorf(\"%w: %w\", ErrUnknown, errors.Join(cerr, gerr))", "return nil, fmt.Errorf(\"%w: %w\", ErrConflict, errors.Join(cerr, gerr))"}},
		log,
	},

	{
		"checksum chain", "a commit need not continue the one before", "commitlog/catchup.go",
		[]edit{{"if h.PreApplyChecksum != st.Checksum && l.cfg.Has(GuardChain) {", "if false {"}},
		log,
	},
	{
		"checksum chain", "nor does a file that is loaded", "commitlog/plan.go",
		[]edit{{"s.Header.PreApplyChecksum != prev.Post && l.cfg.Has(GuardChain) {", "false {"}},
		log,
	},
	{
		"checksum chain", "a page that is read again may be of another version", "logvfs/image.go",
		[]edit{{"if sum := ltx.Checksum(p.sum.Load()); pgno != p.pgno || sum != 0 && sum != commitlog.ChecksumPage(commitlog.Page{Pgno: pgno, Data: data}) {", "if pgno != p.pgno {"}},
		log,
	},
	{
		"checksum chain", "checksums beside a snapshot may be of another database", "commitlog/sums.go",
		[]edit{{"if all != post {", "if false {"}},
		log,
	},

	// The order of fsyncs in a folder.
	{
		"folder fsync order", "a file gets its name before its content is durable", "objstore/dir/write.go",
		[]edit{{"if err := b.fsync(h); err != nil {", "if err := error(nil); err != nil {"}},
		dir,
	},
	{
		"folder fsync order", "a name is acknowledged before its folder is durable", "objstore/dir/write.go",
		[]edit{{"	if err := b.syncFolder(f); err != nil {\n		return nil, err\n	}\n	return fi, nil", "	return fi, nil"}},
		dir,
	},
	{
		"folder fsync order", "the loser of a race is told before the winner is durable", "objstore/dir/write.go",
		[]edit{{"	if err := b.syncFolder(f); err != nil {\n		return err\n	}\n	return objstore.ErrExist", "	return objstore.ErrExist"}},
		dir,
	},
	{
		"folder fsync order", "a reader is given what is not durable yet", "objstore/dir/dir.go",
		[]edit{{"		err = b.settle(key, fi)\n", ""}},
		dir,
	},
	{
		"folder fsync order", "a new folder is used before its parent is durable", "objstore/dir/folder.go",
		[]edit{{"	if err := b.syncFolder(parent); err != nil {\n		f.close()\n		return nil, err\n	}\n", ""}},
		dir,
	},
	{
		"folder fsync order", "one shares an fsync that had begun before", "objstore/dir/folder.go",
		[]edit{{"need := f.started + 1", "need := f.started"}},
		dir,
	},
	{
		"folder fsync order", "a failed fsync is forgotten", "objstore/dir/folder.go",
		[]edit{{"		b.broken.CompareAndSwap(nil, &broken)\n", ""}},
		dir,
	},
	{
		"create-if-absent", "the last one wins, in a folder", "objstore/dir/write.go",
		[]edit{{"err := f.root.Link(temp, name)", "err := f.root.Rename(temp, name)"}, {
			"if !replace { // spares the loser the writing", "if false {",
		}},
		dir,
	},
	{
		"create-if-absent", "the last one wins, on S3", "objstore/s3/s3.go",
		[]edit{{`return b.put(ctx, key, body, aws.String("*"))`, "return b.put(ctx, key, body, nil)"}},
		[]string{"objstore/s3"},
	},
	{
		"create-if-absent", "the last one wins, on OSS", "objstore/oss/oss.go",
		[]edit{{`in.ForbidOverwrite = new("true")`, `in.ForbidOverwrite = new("false")`}},
		[]string{"objstore/oss"},
	},
	{
		"unknown outcome", "the SDK of S3 repeats a put by itself", "objstore/s3/s3.go",
		[]edit{{"Retryer: aws.NopRetryer{},", "Retryer: nil,"}},
		[]string{"objstore/s3"},
	},
	{
		"poisoned slot", "\"412 but 404\" is tried for ever", "commitlog/append.go",
		[]edit{{"if ghosts++; ghosts == maxGhosts {", "if ghosts++; ghosts < 0 {"}},
		log,
	},
}
