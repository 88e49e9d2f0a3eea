package retrieve

import "sync"

// class is what a folded character may be a sign of, as a set.
type class uint16

const (
	surname  class = 1 << iota // one of the most frequent Chinese ones
	sounding                   // foreign names are written with it
	numeral                    // of a number
	timeUnit                   // behind a number: a time
	period                     // a time by itself
	placing
	listing
	personal
	nameDot // between the parts of a foreign name
	naming
	reasoning
	acting
	wondering
)

// classChars lists the characters of each class, folded.
var classChars = [...]struct {
	class class
	chars string
}{
	{surname, "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任" +
		"陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚司"},
	{sounding, "斯尔特克拉德里亚巴尼布罗马卡伊利维奥格萨莱托西安纳米兰弗埃诺基加达科菲塞瓦迪莫蒂丹洛恩哈曼帕赫鲁丽娜贝凯勒森汉伯阿路易" +
		"约翰雅各詹姆士威廉乔治查理爱艾普切茨扎泰沃戈夫耶佩雷桑索奇吉杰林肯内"},
	{numeral, "0123456789一二三四五六七八九十百千万亿零两半数几%"},
	{timeUnit, "年月日号时分"},
	{period, "纪朝代期晚夏春秋冬周"},
	{placing, "省市县区镇村州国岛山路街港洲河湖湾城乡站部于在"},
	{listing, "、和与及或;"},
	{personal, "·他她师家员王帝者长由被"},
	{nameDot, "·・‧"},
	{naming, "《「“\"『(是为叫称即指"},
	{reasoning, "因故致使"},
	{acting, "用通先再将把点选"},
	{wondering, "?"},
}

// classTable finds the class of a character: a hash table, since most have none.
type classTable [1024]struct {
	r     rune
	class class
}

// classes is the table, made when it is first needed.
var classes = sync.OnceValue(func() *classTable {
	t := new(classTable)
	for _, c := range classChars {
		for _, r := range c.chars {
			i := t.slot(r)
			t[i].r, t[i].class = r, t[i].class|c.class
		}
	}
	return t
})

// of returns the class of a character, 0 for most.
func (t *classTable) of(r rune) class { return t[t.slot(r)].class }

// slot returns where r stands or would.
func (t *classTable) slot(r rune) uint32 {
	i := uint32(r) * 0x9E3779B1 >> 22 // Fibonacci hashing, Knuth TAOCP 3 §6.4
	for t[i].r != r && t[i].r != 0 {
		i = (i + 1) % uint32(len(t))
	}
	return i
}
